package testbed

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/node"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
)

// The users as which the CNI plugins come to the API server.
const (
	multusUser      = "system:serviceaccount:kube-system:multus"
	whereaboutsUser = "system:serviceaccount:kube-system:whereabouts"
)

func (l *Lab) startControlPlane(ctx context.Context) (err error) {
	l.plane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: l.path(planeDir), Progress: l.options.Progress,
		Workers: &controlplane.Workers{Addresses: []netip.Addr{gateway.Addr()}, Proxy: l.path(ProxyName)},
	})
	return err
}

func (l *Lab) startKernels(context.Context) error {
	for _, w := range l.workers {
		if w.joins {
			continue
		}
		if err := l.boot(w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

// boot starts a worker's kernel.
func (l *Lab) boot(w worker) error {
	config, err := l.guest(w)
	if err != nil {
		return err
	}
	file := l.path(w.name + ".json")
	if err := config.Write(file); err != nil {
		return err
	}
	links := []uml.Link{{Socket: l.path(w.name + ".e0"), MAC: w.mac.String()}}
	for _, e := range w.links {
		links = append(links, uml.Link{Socket: l.Cable(e.eni), MAC: e.mac})
	}
	kernel, err := uml.Spawn(uml.Spec{
		Name: w.name, Dir: l.options.Dir, Kernel: l.assets.kernel, Preload: l.assets.preload, Memory: l.options.Memory,
		Init: l.assets.programs[node.Init], Args: []string{guest.Argument + file}, Links: links, Turn: w.turn,
	})
	if err != nil {
		return err
	}
	l.kernels[w.name] = kernel
	return nil
}

// guest is the configuration for the worker's init.
func (l *Lab) guest(w worker) (guest.Config, error) {
	server := netip.AddrPortFrom(gateway.Addr(), apiServerPort)
	kubelet, err1 := l.plane.WorkerKubeconfig(server, "system:node:"+w.name, "system:nodes")
	multus, err2 := l.plane.WorkerKubeconfig(server, multusUser)
	whereabouts, err3 := l.plane.WorkerKubeconfig(server, whereaboutsUser)
	if err := errors.Join(err1, err2, err3); err != nil {
		return guest.Config{}, err
	}
	interfaces := []guest.Interface{{Device: "vec0", Name: "eth0", Addresses: []netip.Prefix{w.address}}}
	for i, e := range w.links {
		interfaces = append(interfaces, guest.Interface{
			Device: fmt.Sprintf("vec%d", i+1), Name: e.name, Addresses: e.addresses,
		})
	}
	return node.Node{
		Name: w.name, Labels: w.labels(), ProviderID: "aws:///" + w.zone + "/" + w.instance, Interfaces: interfaces, Gateway: gateway.Addr(), Pods: w.pods, DNS: dns, CA: l.plane.CA(),
		Kubelet: kubelet, Multus: multus, Whereabouts: whereabouts, Programs: l.assets.programs, Runc: l.assets.runc,
		Images: l.assets.images, Sandbox: Image, Modules: l.assets.modules,
	}.Guest()
}

// labels are those that AWS's cloud provider gives to a node.
func (w worker) labels() map[string]string {
	return map[string]string{
		corev1.LabelTopologyRegion: w.region, corev1.LabelTopologyZone: w.zone, corev1.LabelInstanceTypeStable: w.kind,
	}
}

// Crash ends a worker's kernel as a power cut does. What it had is lost.
func (l *Lab) Crash(ctx context.Context, worker string) error {
	kernel, ok := l.kernels[worker]
	if !ok {
		return fmt.Errorf("there is no worker %s", worker)
	}
	delete(l.kernels, worker)
	return kernel.Stop(ctx)
}

// Boot starts a worker that Crash has ended and returns at once. It joins the
// cluster again under its name.
func (l *Lab) Boot(worker string) error {
	for _, w := range l.workers {
		if w.name == worker && l.kernels[worker] == nil {
			return l.boot(w)
		}
	}
	return fmt.Errorf("there is no worker %s, or it runs", worker)
}

const (
	// readyTimeout is for a busy machine; workers take 20 s on an idle one.
	readyTimeout = 5 * time.Minute
	poll         = 200 * time.Millisecond
)

// awaitReady waits until all workers are Ready, or a kernel has ended.
func (l *Lab) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, w := range l.workers {
		if w.joins {
			continue
		}
		if err := l.AwaitNode(ctx, w.name, true); err != nil {
			return err
		}
		l.say("%s is Ready", w.name)
	}
	return nil
}

// AwaitNode waits until a worker is Ready, or until it is not.
func (l *Lab) AwaitNode(ctx context.Context, worker string, ready bool) error {
	kube, err := client.NewForConfig(l.Config())
	if err != nil {
		return err
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		n, err := kube.CoreV1().Nodes().Get(ctx, worker, metav1.GetOptions{})
		if err == nil && isReady(n) == ready {
			return nil
		}
		if err := l.alive(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s is Ready (%t): %w; last: %w; see %s", worker, ready, ctx.Err(), err, l.options.Dir)
		}
	}
}

// alive says which kernels have ended, and how.
func (l *Lab) alive() error {
	var errs []error
	for _, k := range l.kernels {
		errs = append(errs, k.Err())
	}
	return errors.Join(errs...)
}

func isReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
