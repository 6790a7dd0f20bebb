package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// startEnvironment starts etcd and kube-apiserver and waits until the API server
// is ready. They are killed when ctx ends before.
func (cp *ControlPlane) startEnvironment(ctx context.Context, o Options, paths map[string]string) (err error) {
	if cp.leash, err = newLeash(cp.dir); err != nil {
		return err
	}
	kill := cp.leash.close
	defer context.AfterFunc(ctx, func() { _ = kill() })() // what starts fails then
	env := &envtest.ControlPlane{
		Etcd:      &envtest.Etcd{DataDir: filepath.Join(cp.dir, "etcd"), StartTimeout: startTimeout},
		APIServer: &envtest.APIServer{CertDir: cp.dir, StartTimeout: startTimeout},
	}
	env.APIServer.CA, env.APIServer.Authn = cp.pki.PEM, cp.pki
	if err := cp.configure(env.APIServer.Configure(), o); err != nil {
		return err
	}
	if err := cp.launch(env, paths); err != nil {
		return errors.Join(err, ctx.Err())
	}
	cp.env = env
	if err := cp.identify(); err != nil {
		return err
	}
	return cp.awaitReady(ctx)
}

// launch starts the environment's programs, whose output goes to NAME.log.
func (cp *ControlPlane) launch(env *envtest.ControlPlane, paths map[string]string) error {
	var err1, err2 error
	env.Etcd.Path, err1 = cp.leash.launcher(paths[etcd])
	env.APIServer.Path, err2 = cp.leash.launcher(paths[apiServer])
	stored, err3 := os.Create(cp.pki.path(etcd + ".log"))
	served, err4 := os.Create(cp.pki.path(apiServer + ".log"))
	defer stored.Close() // the programs have their own
	defer served.Close()
	if err := errors.Join(err1, err2, err3, err4, os.MkdirAll(env.Etcd.DataDir, 0o700)); err != nil {
		return err
	}
	env.Etcd.Out, env.Etcd.Err = stored, stored
	env.APIServer.Out, env.APIServer.Err = served, served
	if err := env.Start(); err != nil {
		return fmt.Errorf("%w; the logs end:\n%s\n%s", err, programs.Tail(stored.Name()), programs.Tail(served.Name()))
	}
	return nil
}

// configure sets the flags of kube-apiserver that differ from envtest's.
func (cp *ControlPlane) configure(flags *envtest.Arguments, o Options) error {
	flags.
		Set("advertise-address", "127.0.0.1").
		Set("endpoint-reconciler-type", "none"). // an Endpoints object must not hold loopback
		Set("service-account-issuer", "https://kubernetes.default.svc").
		Set("service-cluster-ip-range", "10.96.0.0/16").
		Set("authorization-mode", "Node,RBAC").
		Set("enable-admission-plugins", "NodeRestriction").
		Disable("disable-admission-plugins"). // pods have service accounts here
		Set("profiling", "false")
	if err := cp.configureWorkers(flags, o.Workers); err != nil {
		return err
	}
	for name, value := range o.APIServerFlags {
		flags.Set(name, value)
	}
	return nil
}

// identify makes the administrator's configuration, kubeconfig and client.
func (cp *ControlPlane) identify() (err error) {
	if cp.config, err = cp.ConfigFor(admin, "system:masters"); err != nil {
		return err
	}
	if _, err = cp.KubeconfigFor(admin, "system:masters"); err != nil {
		return err
	}
	cp.client, err = rest.HTTPClientFor(cp.config)
	return err
}

// awaitReady waits for more than envtest does: that the API server is healthy.
func (cp *ControlPlane) awaitReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfigAndClient(cp.config, cp.client)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, startTimeout, true, func(ctx context.Context) (bool, error) {
		_, last = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w; last: %w", apiServer, err, last)
	}
	return nil
}

func (cp *ControlPlane) startControllerManager(path string, w *Workers) error {
	args := append([]string{
		"--use-service-account-credentials", "--service-account-private-key-file", cp.pki.path("sa-signer.key"),
		"--root-ca-file", cp.pki.path("ca.crt"),
	}, controllerArgs(w)...)
	return cp.startManager(path, args...)
}

// startManager starts a program that has the API server to do with.
func (cp *ControlPlane) startManager(path string, args ...string) error {
	kubeconfig, err := cp.KubeconfigFor("system:" + filepath.Base(path))
	if err != nil {
		return err
	}
	args = append([]string{"--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port", "0"}, args...)
	p, err := programs.Run(cp.dir, exec.Command(path, args...))
	if err == nil {
		cp.managers = append(cp.managers, p)
	}
	return err
}
