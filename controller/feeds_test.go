package controller

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/multus-ipmgr/multus-ipmgr/controller/finding"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// networks is a source of NADs, each with a configuration of so many bytes. Its
// watches say nothing, and stream no lists.
type networks []int

func (n networks) List(options metav1.ListOptions) (apiruntime.Object, error) {
	list := &nadv1.NetworkAttachmentDefinitionList{}
	list.ResourceVersion = "7"
	first, _ := strconv.Atoi(options.Continue) // none: 0
	for i := first; i < min(len(n), first+int(options.Limit)); i++ {
		o := nadv1.NetworkAttachmentDefinition{Spec: nadv1.NetworkAttachmentDefinitionSpec{Config: strings.Repeat("x", n[i])}}
		o.Namespace, o.Name, o.Annotations = "core", fmt.Sprintf("n%d", i), map[string]string{"a": strings.Repeat("x", n[i])}
		list.Items = append(list.Items, o)
	}
	if next := first + int(options.Limit); next < len(n) {
		list.Continue = strconv.Itoa(next)
	}
	return list, nil
}

func (networks) Watch(metav1.ListOptions) (watch.Interface, error) { return watch.NewFake(), nil }

func (networks) IsWatchListSemanticsUnSupported() bool { return true }

// informer follows a source of NADs.
func informer(t testing.TB, source cache.ListerWatcher) cache.SharedIndexInformer {
	t.Helper()
	feeds := newFeeds(slog.New(slog.DiscardHandler))
	informer := feeds.Informer(source, &nadv1.NetworkAttachmentDefinition{}, 0, cache.Indexers{})
	if err := informer.SetTransform(finding.Strip); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		informer.RunWithContext(t.Context())
	}()
	t.Cleanup(func() { <-done })
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the cache is not filled")
	}
	return informer
}

func TestTheCacheOfNetworksHoldsThemReduced(t *testing.T) {
	stored := informer(t, networks{500, 100_000, 1_000_000}).GetStore()
	kept := map[string]int{}
	for _, object := range stored.List() {
		o, ok := object.(*nadv1.NetworkAttachmentDefinition)
		if !ok || o.Namespace != "core" || o.Annotations["a"] != "" {
			t.Fatalf("in the cache: %T %v", object, object)
		}
		kept[o.Name] = len(o.Spec.Config)
	}
	if diff := cmp.Diff(map[string]int{"n0": 500, "n1": 0, "n2": 0}, kept); diff != "" {
		t.Errorf("bytes of configurations (-want +got):\n%s", diff)
	}
}

// TestNetworksTakeBoundedMemory holds that 10,000 of any length fit into less
// than half of the chart's 128 MiB.
func TestNetworksTakeBoundedMemory(t *testing.T) {
	const each = 6 << 10
	for _, c := range []struct{ size, count int }{{4 << 10, 300}, {nad.MaxConfig, 60}, {1_000_000, 8}} {
		source := networks(slices.Repeat([]int{c.size}, c.count))
		before := heap()
		stored := informer(t, source).GetStore()
		after := heap()
		if n := len(stored.ListKeys()); n != c.count || after > before+uint64(c.count*each)+overhead {
			t.Errorf("%d networks of %d bytes take %d bytes of the heap; want %d in at most %d each", n, c.size, after-before, c.count, each)
		}
		runtime.KeepAlive(stored)
	}
}

// overhead is what an informer takes without objects.
const overhead = 1 << 20

// heap is how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestEveryCacheHasAnAgeByTheNameOfItsResource(t *testing.T) {
	feeds := newFeeds(slog.New(slog.DiscardHandler))
	for object := range cached(feeds).ByObject {
		feeds.Informer(networks{}, object, 0, cache.Indexers{})
	}
	var aged []string
	for _, f := range feeds {
		if age, known := f.Age(); known && age >= 0 {
			aged = append(aged, f.Name.Resource)
		}
	}
	if diff := cmp.Diff([]string{"network-attachment-definitions", "reservedcidrs"}, slices.Sorted(slices.Values(aged))); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}
