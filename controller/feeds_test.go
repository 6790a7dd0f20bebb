package controller

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/finding"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// networks serves a list of NADs, each with a configuration of so many bytes.
func networks(t testing.TB, sizes ...int) *feeds {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind":"NetworkAttachmentDefinitionList","apiVersion":"k8s.cni.cncf.io/v1","metadata":{"resourceVersion":"7"},"items":[`)
		for i, size := range sizes {
			if i > 0 {
				fmt.Fprint(w, ",")
			}
			fmt.Fprintf(w, `{"metadata":{"namespace":"core","name":"n%d","annotations":{"a":%q}},"spec":{"config":%[2]q}}`, i, strings.Repeat("x", size))
		}
		fmt.Fprint(w, `]}`)
	}))
	t.Cleanup(server.Close)
	f, err := newFeeds(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// quiet is a source whose watches say nothing, and stream no lists.
type quiet struct{ *cache.ListWatch }

func newQuiet() quiet {
	return quiet{&cache.ListWatch{WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return watch.NewFake(), nil }}}
}

func (quiet) IsWatchListSemanticsUnSupported() bool { return true }

// informer follows what networks serve.
func informer(t testing.TB, f *feeds) cache.SharedIndexInformer {
	t.Helper()
	informer := f.informer(newQuiet(), &nadv1.NetworkAttachmentDefinition{}, 0, cache.Indexers{})
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
	stored := informer(t, networks(t, 500, 100_000, 1_000_000)).GetStore()
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
		f := networks(t, slices.Repeat([]int{c.size}, c.count)...)
		before := heap()
		stored := informer(t, f).GetStore()
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
	f := networks(t)
	f.informer(newQuiet(), &nadv1.NetworkAttachmentDefinition{}, 0, cache.Indexers{})
	f.informer(newQuiet(), &v1alpha1.ReservedCIDR{}, 0, cache.Indexers{})
	f.informer(newQuiet(), &corev1.Pod{}, 0, cache.Indexers{})
	ages := f.ages()
	if diff := cmp.Diff([]string{"*v1.Pod", "network-attachment-definitions", "reservedcidrs"}, slices.Sorted(maps.Keys(ages))); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	for resource, age := range ages {
		if age < 0 {
			t.Errorf("%s has the age %s", resource, age)
		}
	}
}

func TestAListThatFailsIsAnErrorAndLeavesTheAge(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	f, err := newFeeds(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	one := f.add(&nadv1.NetworkAttachmentDefinition{})
	before := one.Age()
	time.Sleep(time.Millisecond)
	followed := one.Follow(&cache.ListWatch{ListWithContextFunc: f.networks})
	if list, err := followed.ListWithContext(t.Context(), metav1.ListOptions{}); err == nil {
		t.Errorf("got %v, want an error", list)
	}
	if after := one.Age(); after <= before {
		t.Errorf("the age is %s after %s: a list that failed counts as news", after, before)
	}
}

func TestFeedsNeedAClientThatCanBeBuilt(t *testing.T) {
	if _, err := newFeeds(&rest.Config{Host: "https://127.0.0.1", TLSClientConfig: rest.TLSClientConfig{CAFile: "absent"}}); err == nil || !strings.Contains(err.Error(), "building the Kubernetes client") {
		t.Errorf("error %v", err)
	}
}
