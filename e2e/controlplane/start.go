package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"
)

// startEtcd starts etcd, waits until it is healthy and returns its URL.
func (cp *ControlPlane) startEtcd(ctx context.Context, path string) (string, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return "", err
	}
	url := "http://" + address
	p, err := cp.launch(path,
		"--data-dir", filepath.Join(cp.dir, "etcd"),
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", "http://127.0.0.1:0",
		"--unsafe-no-fsync", // the data do not outlive the test
	)
	if err != nil {
		return "", err
	}
	return url, await(ctx, p, http.DefaultClient, url+"/health")
}

// startAPIServer starts kube-apiserver and waits until it is ready.
func (cp *ControlPlane) startAPIServer(ctx context.Context, path, etcdURL string, o Options) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	cp.url = "https://" + address
	if err := cp.identify(); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(address)
	args := []string{
		"--etcd-servers", etcdURL,
		"--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", port,
		"--endpoint-reconciler-type", "none", // an Endpoints object must not hold loopback
		"--tls-cert-file", cp.pki.path("server.crt"), "--tls-private-key-file", cp.pki.path("server.key"),
		"--client-ca-file", cp.pki.path("ca.crt"),
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", cp.pki.path("sa.key"),
		"--service-account-signing-key-file", cp.pki.path("sa.key"),
		"--service-cluster-ip-range", "10.96.0.0/16",
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
		"--allow-privileged", "--profiling=false",
	}
	more, err := cp.serverArgs(o.Workers)
	if err != nil {
		return err
	}
	p, err := cp.launch(path, slices.Concat(args, more, o.APIServerArgs)...)
	if err != nil {
		return err
	}
	return await(ctx, p, cp.client, cp.url+"/readyz")
}

// identify makes the administrator's configuration, kubeconfig and client.
func (cp *ControlPlane) identify() (err error) {
	if cp.config, err = cp.ConfigFor(admin, "system:masters"); err != nil {
		return err
	}
	if err := writeKubeconfig(cp.Kubeconfig(), cp.config); err != nil {
		return err
	}
	cp.client, err = rest.HTTPClientFor(cp.config)
	return err
}

func (cp *ControlPlane) startControllerManager(path string, w *Workers) error {
	kubeconfig, err := cp.KubeconfigFor("system:kube-controller-manager")
	if err != nil {
		return err
	}
	args := []string{
		"--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port", "0",
		"--use-service-account-credentials", "--service-account-private-key-file", cp.pki.path("sa.key"),
		"--root-ca-file", cp.pki.path("ca.crt"),
	}
	_, err = cp.launch(path, append(args, controllerArgs(w)...)...)
	return err
}

// await asks url until it answers 200 OK, p ends or ctx does.
func await(ctx context.Context, p *process, client *http.Client, url string) error {
	defer client.CloseIdleConnections()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("no answer")
	for {
		select {
		case <-p.over:
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; last: %w; log: %s", p.name, ctx.Err(), last, p.log)
		case <-tick.C:
		}
		if last = probe(ctx, client, url); last == nil {
			return nil
		}
	}
}

func probe(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil || response.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("%s: %s", response.Status, tail(string(body), 5)))
	}
	return nil
}

// freeAddress returns a loopback address that was free a moment ago.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
