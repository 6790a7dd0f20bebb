package finding

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
)

// due takes what is to be checked.
type due struct {
	workqueue.TypedRateLimitingInterface[string]
	keys []string
}

func (d *due) Add(key string)                       { d.keys = append(d.keys, key) }
func (d *due) AddAfter(key string, _ time.Duration) { d.keys = append(d.keys, key) }

// half reserves what no NAD of these tests uses.
func half() []v1alpha1.ReservedCIDR {
	o := reserve("10.0.1.128/26", v1alpha1.Explicit)
	o.Name = "scr-1"
	return []v1alpha1.ReservedCIDR{o}
}

// whole reserves the subnet.
func whole() []v1alpha1.ReservedCIDR {
	return append(half(), reserve("10.0.1.0/25", v1alpha1.Explicit))
}

func TestNothingIsCheckedBeforeAllIsMirrored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, half(), []*nadv1.NetworkAttachmentDefinition{network("pods", "ipvlan", "10.0.1.70", "10.0.1.80")})
		mirrored := make(chan struct{})
		w.settled, w.Mirrored = make(chan struct{}), mirrored
		queue := &due{}
		go w.await(t.Context(), queue)
		check := func() int {
			synctest.Wait()
			w.pass(t)
			return len(w.told.events)
		}
		time.Sleep(time.Hour)
		if n := check(); n != 0 || len(queue.keys) > 0 {
			t.Errorf("%d events before all is mirrored; due: %v", n, queue.keys)
		}
		close(mirrored)
		if n := check(); n != 0 {
			t.Errorf("%d events before the cache could know", n)
		}
		time.Sleep(settling)
		if n := check(); n != 1 {
			t.Errorf("%d events, want that of the NAD that nothing covers", n)
		}
		if diff := cmp.Diff([]string{everything}, queue.keys); diff != "" {
			t.Errorf("due (-want +got):\n%s", diff)
		}
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	queue := &due{}
	New(Options{}).await(ctx, queue)
	if len(queue.keys) > 0 {
		t.Errorf("due: %v", queue.keys)
	}
}

// long makes the configuration of a NAD one that is not cached.
func long(o *nadv1.NetworkAttachmentDefinition) *nadv1.NetworkAttachmentDefinition {
	o.Spec.Config = strings.Replace(o.Spec.Config, "{", `{"filler":"`+strings.Repeat("x", keptConfig)+`",`, 1)
	return o
}

func TestAPassChecksWhatChanged(t *testing.T) {
	a, b, c := network("a", "ipvlan", "10.0.1.70", "10.0.1.80"), network("b", "ipvlan", "10.0.1.71", "10.0.1.81"), long(network("c", "ipvlan", "10.0.1.72", "10.0.1.82"))
	w := newWorld(t, half(), []*nadv1.NetworkAttachmentDefinition{a, b, c})
	handlers, queue := soon(w.changedNAD), &due{}
	for _, step := range []struct {
		name         string
		change       func()
		cached, live []string
		told         []string
		broken       int
	}{
		{"the first pass checks all, the long one past the cache", func() {}, []string{"core/a", "core/b", "core/c"}, []string{"core/c"},
			[]string{"Warning core/a NotReserved", "Warning core/b NotReserved", "Warning core/c NotReserved"}, 3},
		{"nothing changed", func() {}, nil, nil, nil, 3},
		{"an object that says the same", func() { w.nads.reserved[0].Annotations = map[string]string{"x": "y"} }, nil, nil, nil, 3},
		{"one NAD is written again", func() {
			handlers.Update(t.Context(), event.TypedUpdateEvent[*nadv1.NetworkAttachmentDefinition]{ObjectOld: b, ObjectNew: b}, queue)
		}, []string{"core/b"}, nil, nil, 3},
		{"many changes of one", func() {
			for range 1000 {
				handlers.Update(t.Context(), event.TypedUpdateEvent[*nadv1.NetworkAttachmentDefinition]{ObjectOld: c, ObjectNew: c}, queue)
			}
		}, []string{"core/c"}, []string{"core/c"}, nil, 3},
		{"one uses what is reserved now", func() {
			a.Spec.Config = network("a", "ipvlan", "10.0.1.130", "10.0.1.140").Spec.Config
			handlers.Update(t.Context(), event.TypedUpdateEvent[*nadv1.NetworkAttachmentDefinition]{ObjectOld: a, ObjectNew: a}, queue)
		}, []string{"core/a"}, nil, []string{"Normal core/a ReservedAgain"}, 2},
		{"one is deleted", func() {
			w.nads.remove(b)
			handlers.Delete(t.Context(), event.TypedDeleteEvent[*nadv1.NetworkAttachmentDefinition]{Object: b}, queue)
		}, []string{"core/b"}, nil, nil, 1},
		{"one is created", func() {
			w.nads.put(b)
			handlers.Create(t.Context(), event.TypedCreateEvent[*nadv1.NetworkAttachmentDefinition]{Object: b}, queue)
		}, []string{"core/b"}, nil, []string{"Warning core/b NotReserved"}, 2},
		{"all is reserved", func() { w.nads.reserved = whole() }, []string{"core/a", "core/b", "core/c"}, []string{"core/c"},
			[]string{"Normal core/b ReservedAgain", "Normal core/c ReservedAgain"}, 0},
		{"the last reservation goes", func() { w.nads.reserved = nil }, []string{"core/a", "core/b", "core/c"}, []string{"core/c"},
			[]string{"Warning core/a NotReserved", "Warning core/b NotReserved", "Warning core/c NotReserved"}, 3},
	} {
		w.nads.reads, w.past.reads, w.told.events = nil, nil, nil
		step.change()
		w.pass(t)
		if diff := cmp.Diff([][]string{step.cached, step.live, step.told}, [][]string{w.nads.reads, w.past.reads, w.told.events}); diff != "" {
			t.Errorf("%s: what is read from the cache, past it, and told (-want +got):\n%s", step.name, diff)
		}
		if got := w.series(t); got != step.broken {
			t.Errorf("%s: the metric shows %d NADs, want %d", step.name, got, step.broken)
		}
	}
	for _, key := range queue.keys {
		if key != everything {
			t.Errorf("queued: %q, want one pass for many changes", key)
		}
	}
}

func TestLongNADsKeepNobodyWaiting(t *testing.T) {
	w := newWorld(t, half(), []*nadv1.NetworkAttachmentDefinition{long(network("a", "ipvlan", "10.0.1.70", "10.0.1.80")), network("b", "ipvlan", "10.0.1.71", "10.0.1.81")})
	w.past.failing = errors.New("no answer")
	if _, err := w.Reconcile(t.Context(), everything); !errors.Is(err, w.past.failing) || !strings.Contains(err.Error(), "core/a") {
		t.Errorf("error %v, want that of reading core/a", err)
	}
	if diff := cmp.Diff([]string{"Warning core/b NotReserved"}, w.told.events); diff != "" {
		t.Errorf("told while the API server does not answer (-want +got):\n%s", diff)
	}
	w.past.failing = nil
	w.pass(t)
	if diff := cmp.Diff([]string{"Warning core/b NotReserved", "Warning core/a NotReserved"}, w.told.events); diff != "" {
		t.Errorf("told once it answers (-want +got):\n%s", diff)
	}
}

func TestALongNADThatGoesMeanwhileIsForgotten(t *testing.T) {
	o := long(network("a", "ipvlan", "10.0.1.70", "10.0.1.80"))
	w := newWorld(t, half(), []*nadv1.NetworkAttachmentDefinition{o})
	w.pass(t)
	w.past.index = nil // the cache is late
	w.changedNAD(o)
	w.pass(t)
	if w.series(t) != 0 {
		t.Error("the metric shows a NAD that is gone")
	}
}

func TestNoticesAreBounded(t *testing.T) {
	const lone, crowded = 30, 1000
	synctest.Test(t, func(t *testing.T) {
		var nads []*nadv1.NetworkAttachmentDefinition
		for i := range crowded {
			o := network(fmt.Sprintf("n%d", i), "ipvlan", "10.0.1.70", "10.0.1.80")
			if o.Namespace = "aaa"; i < lone {
				o.Namespace = fmt.Sprintf("lone-%d", i)
			}
			nads = append(nads, o)
		}
		w := newWorld(t, whole(), nads)
		w.pass(t)
		w.nads.reserved = half()
		w.pass(t)
		counts := w.told.namespaces()
		if counts["aaa"] != namespaceNotices || len(counts) != lone+1 || len(w.told.events) != lone+namespaceNotices {
			t.Errorf("%d events in %d namespaces, %d in the crowded one; want one in each other, and %d", len(w.told.events), len(counts), counts["aaa"], namespaceNotices)
		}
		lines := w.lines(t)
		summary := map[string]any{"level": "WARN", "msg": "more networks changed than are named one by one: see the metric multus_ipmgr_nads_broken",
			keyBroken: float64(crowded - lone - namespaceNotices), keyFixed: 0.0}
		if diff := cmp.Diff(summary, lines[len(lines)-1]); diff != "" || len(lines) != len(w.told.events)+1 {
			t.Errorf("%d lines for %d events; the last (-want +got):\n%s", len(lines), len(w.told.events), diff)
		}
		if got := w.series(t); got != crowded {
			t.Errorf("the metric shows %d NADs, want all %d", got, crowded)
		}
	})
}

func TestNoticesOfNADsThatFlapAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nads []*nadv1.NetworkAttachmentDefinition
		for i := range 150 {
			o := network(fmt.Sprintf("n%d", i), "ipvlan", "10.0.1.70", "10.0.1.80")
			o.Namespace = fmt.Sprintf("ns-%d", i%15)
			nads = append(nads, o)
		}
		w := newWorld(t, whole(), nads)
		const passes, between = 12, 6 * time.Second
		for i := range passes {
			w.nads.reserved = [][]v1alpha1.ReservedCIDR{whole(), half()}[i%2]
			w.pass(t)
			time.Sleep(between)
		}
		w.bounded(t, passes*between)
	})
}

func (w *world) bounded(t *testing.T, span time.Duration) {
	t.Helper()
	if limit := int(allNotices + span/allRefill); len(w.told.events) < allNotices || len(w.told.events) > limit {
		t.Errorf("%d events in %s, want %d to %d", len(w.told.events), span, allNotices, limit)
	}
	if limit := int(namespaceNotices + span/namespaceRefill); most(w.told.namespaces()) > limit {
		t.Errorf("%d events in one namespace, want at most %d", most(w.told.namespaces()), limit)
	}
	if limit := len(w.told.events) + int(span/summaryInterval) + 1; len(w.lines(t)) > limit {
		t.Errorf("%d lines in %s, want at most %d", len(w.lines(t)), span, limit)
	}
	time.Sleep(namespaceNotices * namespaceRefill)
	w.notices.flush(t.Context())
	if len(w.notices.namespaces) > 0 {
		t.Errorf("%d namespaces are remembered although they have all their notices again", len(w.notices.namespaces))
	}
}

func TestASummaryThatWaitsIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil)
		w.notices.broken = 1
		if again := w.notices.flush(t.Context()); again != 0 {
			t.Errorf("flush again after %s", again)
		}
		w.notices.broken, w.notices.fixed = 2, 3
		if again := w.notices.flush(t.Context()); again == 0 || len(w.lines(t)) != 1 {
			t.Errorf("%d lines at once, flush again after %s", len(w.lines(t)), again)
		}
		time.Sleep(summaryInterval)
		if again := w.notices.flush(t.Context()); again != 0 || len(w.lines(t)) != 2 {
			t.Errorf("%d lines in the end, flush again after %s", len(w.lines(t)), again)
		}
	})
}
