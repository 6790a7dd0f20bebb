package finding

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
)

// due takes what is to be checked.
type due struct {
	workqueue.TypedInterface[string]
	keys []string
}

func (d *due) Add(key string) { d.keys = append(d.keys, key) }

func TestNothingIsCheckedBeforeAllIsMirrored(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := nadv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	definition := network("pods", "ipvlan", "10.0.1.70", "10.0.1.80")
	o := &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Namespace: "core", Name: "pods"}}
	o.Spec.Config = definition.Config
	half := reserve("10.0.1.128/26", v1alpha1.Explicit)
	half.Name = "scr-1"
	synctest.Test(t, func(t *testing.T) {
		mirrored, recorder := make(chan struct{}), events.NewFakeRecorder(10)
		w := New(Options{
			Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(o, &half).Build(),
			Events: recorder, Log: slog.New(slog.DiscardHandler), Mirrored: mirrored,
		})
		queue := &due{}
		go w.await(t.Context(), queue)
		check := func() int {
			synctest.Wait()
			if _, err := w.Reconcile(t.Context(), everything); err != nil {
				t.Fatal(err)
			}
			return len(recorder.Events)
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
