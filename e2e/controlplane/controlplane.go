// Package controlplane runs a real etcd and kube-apiserver, on loopback, for
// tests, the bench and the lab: those of controller-runtime's envtest, which
// never outlive the process that started them. Unless workers are asked for,
// there is neither scheduler nor kubelet: pods are admitted and stored, and the
// caller plays the rest.
//
// The programs are built by e2e/tools on first use, which takes minutes on a
// clean machine and says so; see [Prepare].
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// Options shape a control plane. The zero value is an API server with etcd.
type Options struct {
	// Dir keeps keys, data and logs. Default: a temporary directory that Stop
	// removes.
	Dir string
	// Progress receives what takes long, in lines. Default: nothing is reported.
	Progress io.Writer
	// ControllerManager adds kube-controller-manager, so that a Deployment
	// makes pods and a namespace its default ServiceAccount.
	ControllerManager bool
	// Workers makes it fit for real kubelets; nil means that there are none.
	Workers *Workers
	// APIServerFlags are further flags of kube-apiserver, by their names.
	APIServerFlags map[string]string
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	dir       string
	temporary bool
	pki       *pki
	leash     *leash
	env       *envtest.ControlPlane
	config    *rest.Config
	client    *http.Client
	managers  []*programs.Program // those that need the API server
}

// startTimeout bounds the start of each of etcd and kube-apiserver, and the wait
// until both are ready. It takes 4 to 6 s on two cores that do nothing else.
const startTimeout = 2 * time.Minute

// attempts to find ports that nobody takes between the look and the start.
const attempts = 3

// Start builds the programs where they are missing, starts them and returns
// when the API server is ready. The processes live until Stop, and no longer
// than this process.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	paths, err := build(ctx, o)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		cp := &ControlPlane{dir: o.Dir}
		err := cp.start(ctx, o, paths)
		if err == nil {
			return cp, nil
		}
		err = errors.Join(err, cp.Stop())
		if !strings.Contains(err.Error(), "address already in use") || attempt == attempts {
			return nil, fmt.Errorf("start the control plane: %w", err)
		}
	}
}

func (cp *ControlPlane) start(ctx context.Context, o Options, paths map[string]string) error {
	if err := cp.prepare(o.Workers.ipsOf()); err != nil {
		return err
	}
	if err := cp.startEnvironment(ctx, o, paths); err != nil {
		return err
	}
	if o.ControllerManager || o.Workers != nil {
		if err := cp.startControllerManager(paths[controllerManager], o.Workers); err != nil {
			return err
		}
	}
	if o.Workers != nil {
		return cp.startScheduler(paths[scheduler])
	}
	return nil
}

// prepare makes the directory and the keys, for a server that has further
// addresses.
func (cp *ControlPlane) prepare(addresses []net.IP) (err error) {
	if cp.dir == "" {
		cp.temporary = true
		if cp.dir, err = os.MkdirTemp("", "controlplane-"); err != nil {
			return err
		}
	}
	if cp.dir, err = filepath.Abs(cp.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(cp.dir, 0o700); err != nil {
		return err
	}
	cp.pki, err = newPKI(cp.dir, addresses)
	return err
}

// Config returns a copy of the administrator's configuration.
func (cp *ControlPlane) Config() *rest.Config { return rest.CopyConfig(cp.config) }

// Kubeconfig returns the path of the administrator's kubeconfig.
func (cp *ControlPlane) Kubeconfig() string { return filepath.Join(cp.dir, admin+".kubeconfig") }

// Dir returns the directory of keys, data and logs.
func (cp *ControlPlane) Dir() string { return cp.dir }

// Stop kills the processes, waits for their end and removes the directory if
// Start made it. The data are lost by design.
func (cp *ControlPlane) Stop() error {
	var errs []error
	for len(cp.managers) > 0 { // they go before what they need
		last := len(cp.managers) - 1
		cp.managers[last].Stop(0)
		cp.managers = cp.managers[:last]
	}
	if cp.env != nil {
		errs = append(errs, cp.env.Stop())
		cp.env = nil
	}
	if cp.leash != nil {
		errs = append(errs, cp.leash.close())
		cp.leash = nil
	}
	if cp.client != nil {
		cp.client.CloseIdleConnections()
	}
	if cp.temporary {
		errs = append(errs, os.RemoveAll(cp.dir))
	}
	return errors.Join(errs...)
}
