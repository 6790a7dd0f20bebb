package finding

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// crowd is n reservations of half a subnet each, and m NADs, of which every
// second uses the other half.
func crowd(n, m int) (reserved []v1alpha1.ReservedCIDR, definitions []nad.Definition) {
	for i := range n {
		net := fmt.Sprintf("10.%d.%d", i/256, i%256)
		o := reserve(net+".0/25", v1alpha1.Explicit)
		o.Spec.SubnetID, o.Spec.SubnetCIDR = "subnet-"+net, net+".0/24"
		reserved = append(reserved, o)
	}
	for i := range m {
		net, host := fmt.Sprintf("10.%d.%d", i%n/256, i%n%256), 10+128*(i%2)
		definitions = append(definitions, nad.Definition{Namespace: "core", Name: fmt.Sprintf("n%d", i),
			Config: fmt.Sprintf(`{"cniVersion":"1.0.0","type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"%s.0/24","range_start":"%[1]s.%d","range_end":"%[1]s.%d"}}`,
				net, host, host+10)})
	}
	return reserved, definitions
}

func TestACrowdIsJudgedAsOneIs(t *testing.T) {
	reserved, definitions := crowd(60, 600)
	found, err := judge(t.Context(), reserved, true, definitions)
	if err != nil || len(found) != 300 {
		t.Errorf("%d of 600 NADs are broken, %v; want every second one", len(found), err)
	}
}

func TestJudgingEndsWithItsContext(t *testing.T) {
	reserved, definitions := crowd(10, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := judge(ctx, reserved, true, definitions); !errors.Is(err, context.Canceled) || found != nil {
		t.Errorf("got %d verdicts, %v; want the context's end", len(found), err)
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, size := range [][2]int{{600, 100}, {600, 1000}, {600, 10000}, {6000, 1000}} {
		reserved, definitions := crowd(size[0], size[1])
		b.Run(fmt.Sprintf("%d_reservations_%d_NADs", size[0], size[1]), func(b *testing.B) {
			for b.Loop() {
				if _, err := judge(b.Context(), reserved, true, definitions); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
