package webhook

import (
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestReservationsCountUnlessEC2DoesNotHoldThem(t *testing.T) {
	condition := func(status string) map[string]any {
		return map[string]any{"conditions": []any{map[string]any{"type": "Reserved", "status": status}}}
	}
	for _, c := range []struct {
		name   string
		spec   map[string]any
		status map[string]any
		want   bool
	}{
		{"a reservation of EC2", map[string]any{"cidr": "10.10.1.64/26", "source": "aws"}, nil, true},
		{"one that was asked for a moment ago", map[string]any{"cidr": "10.10.1.64/26", "create": true}, nil, true},
		{"one that was asked for and made", map[string]any{"cidr": "10.10.1.64/26", "create": true}, condition("True"), true},
		{"one that was asked for and refused", map[string]any{"cidr": "10.10.1.64/26", "create": true}, condition("False"), false},
		{"one that was written by hand, with a status of someone else", map[string]any{"cidr": "10.10.1.64/26"}, condition("False"), true},
		{"one that cannot be read", map[string]any{"cidr": "x"}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := reduceReservation(&unstructured.Unstructured{Object: map[string]any{"spec": c.spec, "status": c.status}})
			if counts := got.CIDR == netip.MustParsePrefix("10.10.1.64/26"); counts != c.want {
				t.Errorf("reservation %+v, want it to count: %t", got, c.want)
			}
		})
	}
}
