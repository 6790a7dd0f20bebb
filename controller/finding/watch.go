package finding

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Options configure a Watcher. All fields are required.
type Options struct {
	Client client.Reader // of a cache of ReservedCIDRs, and of NADs that Strip reduced
	Live   client.Reader // past the cache
	Events events.EventRecorder
	Log    *slog.Logger
	// Mirrored is closed once there are objects for all reservations. Nothing
	// is checked before: the first mirroring would break and fix every NAD.
	Mirrored <-chan struct{}
}

// Watcher checks the NADs that change, and all of them when reservations change.
type Watcher struct {
	Options
	settled chan struct{} // closed when all that was mirrored had time to reach the cache

	mu     sync.Mutex // guards what follows
	due    map[types.NamespacedName]bool
	broken map[types.NamespacedName]verdict

	// What follows is Reconcile's, of which one runs at a time.
	reserved []nad.Reservation // that checker knows
	known    bool              // there have been reservations
	checker  *nad.Checker      // nil before the first pass
	notices  *notices
}

// New returns a watcher that has checked nothing yet.
func New(o Options) *Watcher {
	return &Watcher{
		Options: o, settled: make(chan struct{}), notices: newNotices(o.Events, o.Log),
		due: map[types.NamespacedName]bool{}, broken: map[types.NamespacedName]verdict{},
	}
}

// Reconcile checks all NADs that are due in one pass, and records an event
// on each NAD whose findings have changed. It does nothing until all
// reservations are mirrored.
func (w *Watcher) Reconcile(ctx context.Context, _ string) (reconcile.Result, error) {
	select {
	case <-w.settled:
	default:
		return reconcile.Result{}, nil
	}
	if err := w.survey(ctx); err != nil {
		return reconcile.Result{}, err
	}
	err := w.pass(ctx, w.take())
	if again := w.notices.flush(ctx); err == nil {
		return reconcile.Result{RequeueAfter: again}, nil
	}
	return reconcile.Result{}, err
}

// survey reads the reservations. If they have changed, all NADs are
// due.
func (w *Watcher) survey(ctx context.Context) error {
	var objects v1alpha1.ReservedCIDRList
	if err := w.Client.List(ctx, &objects); err != nil {
		return fmt.Errorf("listing ReservedCIDRs: %w", err)
	}
	reserved := reservations(objects.Items)
	known := w.known || len(objects.Items) > 0
	if w.checker != nil && known == w.known && slices.Equal(reserved, w.reserved) {
		return nil
	}
	var nads nadv1.NetworkAttachmentDefinitionList
	if err := w.Client.List(ctx, &nads, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing NADs: %w", err)
	}
	w.reserved, w.known, w.checker = reserved, known, new(newChecker(reserved, known))
	for i := range nads.Items {
		w.changed(client.ObjectKeyFromObject(&nads.Items[i]))
	}
	return nil
}

// changed makes a NAD due.
func (w *Watcher) changed(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due[name] = true
}

// take returns the NADs that are due, in order.
func (w *Watcher) take() []types.NamespacedName {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(w.due), func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	w.due = map[types.NamespacedName]bool{}
	return names
}

// pass checks NADs. Those that have to be read from the API server come last:
// authors of long NADs must not delay others. NADs that cannot be checked stay
// due.
func (w *Watcher) pass(ctx context.Context, names []types.NamespacedName) error {
	var long []types.NamespacedName
	for i, name := range names {
		o, leftOut, err := w.cached(ctx, name)
		if leftOut {
			long = append(long, name)
			continue
		}
		if err := w.check(ctx, name, o, err); err != nil {
			return w.postpone(err, long, names[i:])
		}
	}
	for i, name := range long {
		o, err := w.uncached(ctx, name)
		if err := w.check(ctx, name, o, err); err != nil {
			return w.postpone(err, long[i:])
		}
	}
	return nil
}

// postpone makes NADs due again that an error kept from being checked.
func (w *Watcher) postpone(err error, all ...[]types.NamespacedName) error {
	left := slices.Concat(all...)
	for _, name := range left {
		w.changed(name)
	}
	return fmt.Errorf("%d networks are still to be checked: %w", len(left), err)
}

// check judges a NAD and records an event if the verdict has changed.
// err is that of reading it.
func (w *Watcher) check(ctx context.Context, name types.NamespacedName, o *nadv1.NetworkAttachmentDefinition, err error) error {
	if apierrors.IsNotFound(err) {
		w.conclude(name, verdict{})
		return nil
	}
	if err != nil {
		return err
	}
	found, err := judge(ctx, *w.checker, o)
	if err != nil {
		return err
	}
	now := verdictOf(found)
	switch before := w.conclude(name, now); {
	case before.digest == now.digest:
	case len(found) > 0:
		w.notices.tellBroken(ctx, o, reasonOf(found[0].Rule), note(found))
	default:
		w.notices.tellFixed(ctx, o)
	}
	return nil
}

// conclude replaces the verdict on a NAD and returns the one before.
func (w *Watcher) conclude(name types.NamespacedName, now verdict) (before verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before = w.broken[name]
	if len(now.rules) == 0 {
		delete(w.broken, name)
	} else {
		w.broken[name] = now
	}
	return before
}

// settling is how long a pass waits for more changes, because they come in
// bursts, such as all pages of a subnet. It also limits passes to two per second.
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
	for name, v := range w.broken {
		for _, rule := range v.rules {
			out <- prometheus.MustNewConstMetric(w.description(), prometheus.GaugeValue, 1, name.Namespace, name.Name, string(rule))
		}
	}
}
