package vpcsim_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
)

// TestAddressesHaveOneHolder lets many callers fight over a few addresses and
// then looks whether each has one holder, and the same one on the data path.
func TestAddressesHaveOneHolder(t *testing.T) {
	r := start(t)
	var wg sync.WaitGroup
	for worker, eni := range []string{one, two, one, two} {
		wg.Go(func() {
			for i := range 40 {
				a := fmt.Sprintf("10.10.1.%d", 80+(i*7+worker)%10)
				v6 := fmt.Sprintf("2600:1f13:0:1::%x", 80+(i+worker)%6)
				_ = take(eni, a)(t.Context(), r.ec2) // refusals are part of the fight
				_ = unassign6(eni, v6)(t.Context(), r.ec2)
				_ = assign6(eni, v6)(t.Context(), r.ec2)
				if i%5 == worker {
					_ = unassign(eni, a)(t.Context(), r.ec2)
				}
				r.sim.ENIs()
			}
		})
	}
	wg.Wait()
	holders := map[netip.Addr]string{}
	for _, e := range r.sim.ENIs() {
		for _, a := range append(append([]netip.Addr{e.Primary}, e.Secondaries...), e.IPv6...) {
			if other := holders[a]; other != "" {
				t.Errorf("%s is on %s and %s", a, other, e.ID)
			}
			holders[a] = e.ID
			if eni, _ := r.sim.RoutedTo(a); eni != e.ID {
				t.Errorf("%s is on %s, packets go to %q", a, e.ID, eni)
			}
		}
	}
	for i := range 10 {
		a := netip.AddrFrom4([4]byte{10, 10, 1, byte(80 + i)})
		if eni, ok := r.sim.RoutedTo(a); ok && holders[a] != eni {
			t.Errorf("packets for %s go to %s, which does not hold it", a, eni)
		}
	}
}
