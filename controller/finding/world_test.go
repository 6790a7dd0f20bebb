package finding

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
)

// store is a cluster in memory, of which NADs are read from a cache, reduced, or
// past it.
type store struct {
	reserved []v1alpha1.ReservedCIDR
	list     []*nadv1.NetworkAttachmentDefinition
	index    map[client.ObjectKey]*nadv1.NetworkAttachmentDefinition

	live    bool // past the cache
	reads   []string
	failing error // of reads of NADs
}

func (s *store) put(o *nadv1.NetworkAttachmentDefinition) {
	s.list = append(s.list, o)
	s.index[client.ObjectKeyFromObject(o)] = o
}

func (s *store) remove(o *nadv1.NetworkAttachmentDefinition) {
	s.list = slices.DeleteFunc(s.list, func(other *nadv1.NetworkAttachmentDefinition) bool { return other.Name == o.Name })
	delete(s.index, client.ObjectKeyFromObject(o))
}

// Get implements client.Reader, as a cache does.
func (s *store) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.reads = append(s.reads, key.String())
	o := s.index[key]
	target, ok := into.(*nadv1.NetworkAttachmentDefinition)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !ok || o == nil:
		return apierrors.NewNotFound(nadv1.Resource("network-attachment-definitions"), key.Name)
	case s.failing != nil:
		return s.failing
	}
	o.DeepCopyInto(target)
	_, err := Strip(target)
	return err
}

// List implements client.Reader.
func (s *store) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	o := client.ListOptions{}
	o.ApplyOptions(options)
	switch into := into.(type) {
	case *v1alpha1.ReservedCIDRList:
		into.Items = slices.Clone(s.reserved)
	case *nadv1.NetworkAttachmentDefinitionList:
		if !s.live {
			for _, one := range s.list {
				into.Items = append(into.Items, nadv1.NetworkAttachmentDefinition{ObjectMeta: one.ObjectMeta})
			}
			return nil
		}
		name, _ := o.FieldSelector.RequiresExactMatch("metadata.name")
		s.reads = append(s.reads, o.Namespace+"/"+name)
		if one := s.index[client.ObjectKey{Namespace: o.Namespace, Name: name}]; one != nil && s.failing == nil {
			into.Items = append(into.Items, *one.DeepCopy())
		}
		return s.failing
	}
	return nil
}

// recorder takes events.
type recorder struct{ events []string }

func (r *recorder) Eventf(regarding, _ runtime.Object, kind, reason, _, _ string, _ ...any) {
	o, _ := regarding.(*nadv1.NetworkAttachmentDefinition)
	r.events = append(r.events, kind+" "+o.Namespace+"/"+o.Name+" "+reason)
}

// world is a watcher of which everything is mirrored.
type world struct {
	*Watcher
	nads, past *store
	told       *recorder
	log        bytes.Buffer
}

func newWorld(t testing.TB, reserved []v1alpha1.ReservedCIDR, nads []*nadv1.NetworkAttachmentDefinition) *world {
	t.Helper()
	w := &world{
		nads: &store{reserved: reserved, index: map[client.ObjectKey]*nadv1.NetworkAttachmentDefinition{}}, told: &recorder{},
	}
	for _, o := range nads {
		w.nads.put(o)
	}
	w.past = &store{index: w.nads.index, live: true}
	w.Watcher = New(Options{Client: w.nads, Live: w.past, Events: w.told, Log: slog.New(slog.NewJSONHandler(&w.log, nil))})
	close(w.settled)
	return w
}

// pass makes one pass over what is due.
func (w *world) pass(t testing.TB) {
	t.Helper()
	if _, err := w.Reconcile(t.Context(), everything); err != nil {
		t.Fatal(err)
	}
}

// lines returns the lines of the log, without their time.
func (w *world) lines(t testing.TB) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(w.log.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		delete(one, "time")
		all = append(all, one)
	}
	return all
}

// series is how many NADs the metric shows, each of which breaks one rule.
func (w *world) series(t testing.TB) int {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w)
	families, err := registry.Gather()
	if err != nil || len(families) > 1 {
		t.Fatal(err, families)
	}
	if len(families) == 0 {
		return 0
	}
	return len(families[0].GetMetric())
}

// namespaces counts events by namespace.
func (r *recorder) namespaces() map[string]int {
	counts := map[string]int{}
	for _, e := range r.events {
		namespace, _, _ := strings.Cut(strings.Fields(e)[1], "/")
		counts[namespace]++
	}
	return counts
}

// most is the largest of counts.
func most(counts map[string]int) int { return slices.Max(slices.Collect(maps.Values(counts))) }
