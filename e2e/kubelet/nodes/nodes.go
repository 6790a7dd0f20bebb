// Package nodes plays kubelets of an API server outside the lab, with the
// containers of package kubelet.
//
// [Join] registers nodes and does for the pods that a scheduler binds to them what
// Deployments and Services can see: it waits for the Secrets of volumes and keeps
// their files up to date, starts the container, probes its readiness, starts it
// again when it ends, reports all that in the pod's status, and ends it, in the
// pod's grace period, when the pod is deleted.
//
// What it does not play: networks (a loopback address stands in for the pod's, see
// [Loopback]), liveness probes, volumes but Secrets, and containers by order.
package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Intervals of a kubelet.
const (
	heartbeat = 3 * time.Second // the real one's is 10 s, tests wait for less
	relist    = time.Second     // how late it may notice that a container ended
	remount   = time.Second     // how late it may notice that a Secret changed; the real one's is a minute
)

// Program stands in for an image.
type Program struct {
	// Path is that of the executable.
	Path string
	// Flags are added to the arguments of the spec: they set for the program what
	// a container runtime arranges around it.
	Flags func(Place) []string
}

// Place is what a program must know of where it runs.
type Place struct {
	// Address stands in for the pod's.
	Address netip.Addr
	// Kubeconfig stands in for the token of the pod's service account.
	Kubeconfig string
	// Volumes are the directories of mounted Secrets by their mount path.
	Volumes map[string]string
}

// hostIP is the address of each node.
const hostIP = "10.10.0.11"

// Options say what to play.
type Options struct {
	// Config is the administrator's.
	Config *rest.Config
	// Dir keeps volumes, and the log of each pod as NAME.log.
	Dir string
	// Complain receives what goes wrong without an end to it, in lines.
	Complain io.Writer
	// Zones are those of the nodes: one node in each.
	Zones []string
	// Programs by repository, the image without its tag.
	Programs map[string]Program
	// Kubeconfig returns the path of one for a service account.
	Kubeconfig func(namespace, account string) (string, error)
}

// Nodes are nodes that are played.
type Nodes struct {
	options Options
	client  kubernetes.Interface
	stop    context.CancelFunc
	group   sync.WaitGroup

	mu   sync.Mutex
	pods map[types.UID]*pod
	last int // number of the last pod's address
}

// podNetwork and loopback are the networks of pods and of what stands in for
// their addresses: EndpointSlices must not hold loopback addresses.
var podNetwork = netip.MustParsePrefix("10.244.0.0/16")

// Loopback returns the address of this machine that stands in for a pod's.
// Other addresses stay what they are.
func Loopback(a netip.AddrPort) netip.AddrPort {
	if !podNetwork.Contains(a.Addr()) {
		return a
	}
	b := a.Addr().As4()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 2, b[2], b[3]}), a.Port())
}

// Join registers nodes with an API server and plays their kubelets until Close.
func Join(ctx context.Context, o Options) (*Nodes, error) {
	config := rest.CopyConfig(o.Config)
	config.QPS, config.Burst = 50, 100 // a kubelet's
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	n := &Nodes{options: o, client: client, pods: map[types.UID]*pod{}}
	for _, zone := range o.Zones {
		if _, err := client.CoreV1().Nodes().Create(ctx, node(zone), metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("register the node of zone %s: %w", zone, err)
		}
	}
	ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(l *metav1.ListOptions) {
		l.FieldSelector = "spec.nodeName!="
	}))
	_, err = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { n.see(ctx, object) },
		UpdateFunc: func(_, object any) { n.see(ctx, object) },
		DeleteFunc: n.forget,
	})
	if err != nil {
		n.stop()
		return nil, err
	}
	factory.Start(ctx.Done())
	n.group.Go(func() { <-ctx.Done(); factory.Shutdown() })
	n.group.Go(func() { n.beat(ctx) })
	return n, nil
}

// Close kills all processes and ends the play.
func (n *Nodes) Close() {
	n.stop()
	n.group.Wait()
}

func node(zone string) *corev1.Node {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("100"),
	}
	name := "node-" + zone
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: zone}},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room,
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: hostIP}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}},
		},
	}
}

// beat renews the nodes' leases.
func (n *Nodes) beat(ctx context.Context) {
	for tick := time.NewTicker(heartbeat); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case now := <-tick.C:
			for _, zone := range n.options.Zones {
				patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":%q}]}}`, now.UTC().Format(time.RFC3339))
				_, err := n.client.CoreV1().Nodes().Patch(ctx, "node-"+zone, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
				n.complain(ctx, "report the node of zone "+zone, err)
			}
		}
	}
}

// complain reports errors that do not end the play.
func (n *Nodes) complain(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
		fmt.Fprintf(n.options.Complain, "kubelet: %s: %v\n", what, err)
	}
}

// see takes notice of a pod.
func (n *Nodes) see(ctx context.Context, object any) {
	of, ok := object.(*corev1.Pod)
	if !ok || ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pods[of.UID]
	if p == nil {
		n.last++
		p = newPod(n, of, netip.AddrFrom4([4]byte{10, 244, byte(n.last >> 8), byte(n.last)}))
		n.pods[of.UID] = p
		n.group.Go(func() { p.live(ctx) })
	}
	p.shown.Store(of)
	if of.DeletionTimestamp != nil {
		p.endOnce.Do(func() { close(p.end) })
	}
}

// forget kills a pod that is gone.
func (n *Nodes) forget(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	of, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pods[of.UID]; p != nil {
		delete(n.pods, of.UID)
		close(p.gone)
	}
}

// Signal sends a signal to the process of a pod, as if someone had done so on
// its node.
func (n *Nodes) Signal(name string, signal syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pods {
		if p.of.Name == name {
			if running := p.running.Load(); running != nil {
				return running.Signal(signal)
			}
		}
	}
	return errors.New("pod " + name + " has no process")
}
