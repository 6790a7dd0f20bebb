package finding

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// ReasonMended is the reason of the event that a NAD's addresses are reserved
// again. Events that they are not have the rule as reason: NotReserved,
// PrefixReservation or AWSReserved.
const ReasonMended = "ReservedAgain"

// action is what was done when an event was raised.
const action = "CheckReservations"

// Options are what a Watcher is made of. All fields are required.
type Options struct {
	Client client.Reader // of a cache
	Events events.EventRecorder
	Log    *slog.Logger
	// Mirrored is closed once there are objects for all reservations. Nothing
	// is checked before: the first mirroring would break and mend every NAD.
	Mirrored <-chan struct{}
}

// Watcher checks all NADs whenever reservations or NADs change.
type Watcher struct {
	Options

	mu    sync.Mutex // guards found, which metrics read
	found verdicts
	known bool // there have been reservations

	settled chan struct{} // closed when all that was mirrored had time to reach the cache
}

// New returns a watcher that has checked nothing yet.
func New(o Options) *Watcher { return &Watcher{Options: o, settled: make(chan struct{})} }

// Reconcile checks all NADs, and raises an event on each whose findings are
// others than before. It does nothing until all reservations are mirrored.
func (w *Watcher) Reconcile(ctx context.Context, _ string) (reconcile.Result, error) {
	select {
	case <-w.settled:
	default:
		return reconcile.Result{}, nil
	}
	var reserved v1alpha1.ReservedCIDRList
	if err := w.Client.List(ctx, &reserved); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing ReservedCIDRs: %w", err)
	}
	var nads nadv1.NetworkAttachmentDefinitionList
	if err := w.Client.List(ctx, &nads); err != nil {
		return reconcile.Result{}, fmt.Errorf("listing NADs: %w", err)
	}
	objects := map[types.NamespacedName]*nadv1.NetworkAttachmentDefinition{}
	var definitions []nad.Definition
	for i := range nads.Items {
		o := &nads.Items[i]
		objects[client.ObjectKeyFromObject(o)] = o
		definitions = append(definitions, nad.Definition{Namespace: o.Namespace, Name: o.Name, Labels: o.Labels, Annotations: o.Annotations, Config: o.Spec.Config})
	}
	w.known = w.known || len(reserved.Items) > 0
	now, err := judge(ctx, reserved.Items, w.known, definitions)
	if err != nil {
		return reconcile.Result{}, err
	}
	w.tell(ctx, objects, now)
	return reconcile.Result{}, nil
}

// tell raises events on the NADs whose findings changed. Only one Reconcile
// runs at a time.
func (w *Watcher) tell(ctx context.Context, objects map[types.NamespacedName]*nadv1.NetworkAttachmentDefinition, now verdicts) {
	w.mu.Lock()
	before := w.found
	w.found = now
	w.mu.Unlock()
	broken, mended := differences(before, now)
	for _, name := range broken {
		text := note(now[name])
		w.Events.Eventf(objects[name], nil, corev1.EventTypeWarning, reasonOf(now[name][0].Rule), action, "%s", text)
		w.Log.LogAttrs(ctx, slog.LevelWarn, "network broken by reservations", slog.String("network", name.String()), slog.String("finding", text))
	}
	for _, name := range mended {
		if o, exists := objects[name]; exists {
			w.Events.Eventf(o, nil, corev1.EventTypeNormal, ReasonMended, action, "the addresses are reserved again")
			w.Log.LogAttrs(ctx, slog.LevelInfo, "network mended by reservations", slog.String("network", name.String()))
		}
	}
}

// settling is how long changes are waited for before all is checked: they come
// in bursts, such as all pages of a subnet.
const settling = 500 * time.Millisecond

// description of the metric. A replica in waiting shows none.
func (w *Watcher) description() *prometheus.Desc {
	return prometheus.NewDesc("multus_ipmgr_nads_broken",
		"NetworkAttachmentDefinitions that the reservations break: 1 for each and the rule it breaks.", []string{"namespace", "name", "rule"}, nil)
}

// Describe implements prometheus.Collector.
func (w *Watcher) Describe(out chan<- *prometheus.Desc) { out <- w.description() }

// Collect implements prometheus.Collector.
func (w *Watcher) Collect(out chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, found := range w.found {
		rules := map[nad.Rule]bool{}
		for _, f := range found {
			rules[f.Rule] = true
		}
		for rule := range rules {
			out <- prometheus.MustNewConstMetric(w.description(), prometheus.GaugeValue, 1, name.Namespace, name.Name, string(rule))
		}
	}
}
