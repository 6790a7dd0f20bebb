package finding

import (
	"context"
	"errors"
	"fmt"
	"testing"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
)

// crowd is n reservations of half a subnet each, and m NADs, of which every
// second uses the other half.
func crowd(n, m int) (reserved []v1alpha1.ReservedCIDR, nads []*nadv1.NetworkAttachmentDefinition) {
	for i := range n {
		net := fmt.Sprintf("10.%d.%d", i/256, i%256)
		o := reserve(net+".0/25", v1alpha1.Explicit)
		o.Name = "scr-" + net
		o.Spec.SubnetID, o.Spec.SubnetCIDR = "subnet-"+net, net+".0/24"
		reserved = append(reserved, o)
	}
	for i := range m {
		net, host := fmt.Sprintf("10.%d.%d", i%n/256, i%n%256), 10+128*(i%2)
		o := &nadv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("ns-%d", i%100), Name: fmt.Sprintf("n%d", i)}}
		o.Spec.Config = fmt.Sprintf(`{"cniVersion":"1.0.0","type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"%s.0/24","range_start":"%[1]s.%d","range_end":"%[1]s.%d"}}`,
			net, host, host+10)
		nads = append(nads, o)
	}
	return reserved, nads
}

// crowded is a world with a crowd.
func crowded(t testing.TB, n, m int) *world {
	t.Helper()
	reserved, nads := crowd(n, m)
	return newWorld(t, reserved, nads)
}

func TestACrowdIsJudgedAsOneIs(t *testing.T) {
	w := crowded(t, 60, 600)
	w.pass(t)
	if len(w.broken) != 300 {
		t.Errorf("%d of 600 NADs are broken; want every second one", len(w.broken))
	}
}

func TestAPassEndsWithItsContext(t *testing.T) {
	w := crowded(t, 10, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Reconcile(ctx, everything); !errors.Is(err, context.Canceled) || len(w.broken) != 0 {
		t.Errorf("got %d verdicts, %v; want the context's end", len(w.broken), err)
	}
	w.pass(t)
	if len(w.broken) != 50 {
		t.Errorf("%d of 100 NADs are broken after the next pass; want every second one", len(w.broken))
	}
}

// BenchmarkPass is a pass after a change of reservations, and one after that of
// a single NAD.
func BenchmarkPass(b *testing.B) {
	for _, size := range [][2]int{{600, 100}, {600, 1000}, {600, 10000}, {6000, 1000}} {
		w := crowded(b, size[0], size[1])
		for name, change := range map[string]func(){
			"all": func() { w.checker = nil },
			"one": func() { w.changedNAD(w.nads.list[0]) },
		} {
			b.Run(fmt.Sprintf("%d_reservations_%d_NADs/%s", size[0], size[1], name), func(b *testing.B) {
				w.pass(b)
				for b.Loop() {
					change()
					w.pass(b)
				}
			})
		}
	}
}
