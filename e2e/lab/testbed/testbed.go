// Package testbed is the lab: a real control plane on loopback, workers that
// are User-Mode Linux kernels with real kubelets, and a simulated VPC between
// their second interfaces. All of it lives in this process and its children,
// needs no root, and changes nothing of the host's network.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/mgmt"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// Options shape a lab.
type Options struct {
	// Dir keeps sockets, keys and logs; it must be short. Default: a temporary
	// directory that Stop removes.
	Dir string
	// Workers is how many workers run, 1 to 3. Default: 2.
	Workers int
	// Memory of each worker. Default: 1000M.
	Memory string
	// NodeGroup has an Auto Scaling group launch one worker more, see [Lab.Join].
	NodeGroup bool
	// Bare leaves multus-ipmgr out.
	Bare bool
	// Progress receives what happens, in lines.
	Progress io.Writer
}

// planeDir is the control plane's directory.
const planeDir = "controlplane"

// Lab is a running lab, for one goroutine at a time.
type Lab struct {
	options   Options
	temporary bool
	began     time.Time

	sim     *vpcsim.Sim
	vpc     *vpcsim.Server
	workers []worker
	assets  assets
	network *network
	plane   *controlplane.ControlPlane
	kernels map[string]*uml.Kernel
	plugged map[string]bool // ENIs that were plugged into running kernels
}

// Start builds what is missing, starts everything and returns when all workers
// are Ready. The lab lives until Stop, and no longer than this process.
func Start(ctx context.Context, o Options) (*Lab, error) {
	l := &Lab{options: o, began: time.Now(), kernels: map[string]*uml.Kernel{}, plugged: map[string]bool{}}
	if err := l.start(ctx); err != nil {
		interrupted := errors.Is(ctx.Err(), context.Canceled)
		ctx := context.WithoutCancel(ctx)
		if !interrupted && l.network != nil { // who interrupts wants no logs, and before there are none
			err = errors.Join(err, l.SaveLogs(ctx))
		}
		return nil, errors.Join(err, l.Stop(ctx))
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context) error {
	if err := l.prepare(); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"programs and images", l.gather},
		{"VPC", l.startVPC},
		{"workers' network", l.startNetwork},
		{"control plane", l.startControlPlane},
		{"kernels", l.startKernels},
		{"cluster objects", l.populate},
		{"workers Ready", l.awaitReady},
		{"multus-ipmgr", l.installProduct},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		l.say("%s", step.what)
	}
	return nil
}

// prepare fills in the defaults and makes the directory.
func (l *Lab) prepare() (err error) {
	if l.options.Progress == nil {
		l.options.Progress = io.Discard
	}
	if l.options.Memory == "" {
		l.options.Memory = "1000M"
	}
	if l.options.Dir == "" {
		l.temporary = true
		l.options.Dir, err = os.MkdirTemp("", "lab-")
		return err
	}
	if l.options.Dir, err = filepath.Abs(l.options.Dir); err != nil {
		return err
	}
	// The data of a former control plane would be read again.
	return errors.Join(os.RemoveAll(l.path(planeDir)), os.MkdirAll(l.options.Dir, 0o700))
}

func (l *Lab) say(format string, args ...any) {
	fmt.Fprintf(l.options.Progress, "lab: %5.1f s: %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

func (l *Lab) path(name string) string { return filepath.Join(l.options.Dir, name) }

// Sim returns the simulated VPC.
func (l *Lab) Sim() *vpcsim.Sim { return l.sim }

// EC2 returns the URL of the EC2 API on the host's loopback.
func (l *Lab) EC2() string { return l.vpc.EC2URL }

// Network returns the workers' first network, where a pod's first address is
// dialled.
func (l *Lab) Network() *mgmt.Network { return l.network.Network }

// Config returns the administrator's configuration.
func (l *Lab) Config() *rest.Config { return l.plane.Config() }

// Kubeconfig returns the path of the administrator's kubeconfig.
func (l *Lab) Kubeconfig() string { return l.plane.Kubeconfig() }

// Dir returns the lab's directory.
func (l *Lab) Dir() string { return l.options.Dir }

// Cable returns the socket of an ENI, where a host of the VPC may connect.
func (l *Lab) Cable(eni string) string { return l.path(filepath.Join("vpc", eni+".sock")) }

// Stop ends everything, as a power cut does, and returns when nothing is left.
func (l *Lab) Stop(ctx context.Context) error {
	var errs []error
	for _, k := range l.kernels {
		errs = append(errs, k.Stop(ctx))
	}
	if l.plane != nil {
		errs = append(errs, l.plane.Stop())
	}
	if l.network != nil {
		errs = append(errs, l.network.close())
	}
	if l.vpc != nil {
		errs = append(errs, l.vpc.Close())
	}
	if l.temporary {
		errs = append(errs, os.RemoveAll(l.options.Dir))
	}
	return errors.Join(errs...)
}
