package nad_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// handsOut is a network that gives first to last of 10.10.1.0/24 to pods.
func handsOut(object, ipam string, first, last int) nad.Network {
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 10, 1, byte(i)}) }
	pool := nad.Pool{Ranges: []nad.Range{{First: addr(first), Last: addr(last)}}}
	return nad.Network{Object: object, Managed: true, Plugins: []nad.PluginConfig{{IPAM: nad.IPAM{Type: ipam, Pools: []nad.Pool{pool}}}}}
}

// rulesOf are the rules that a pod breaks whose network, apps/fixed, is asked for
// the addresses.
func rulesOf(tb testing.TB, c nad.Checker, addrs ...netip.Addr) []nad.Rule {
	tb.Helper()
	s := nad.Selection{Namespace: "apps", Name: "fixed"}
	for _, a := range addrs {
		s.IPs, s.Texts = append(s.IPs, netip.PrefixFrom(a, a.BitLen())), append(s.Texts, a.String())
	}
	found, err := c.Pod(tb.Context(), "apps/pod", []nad.Selection{s}, func(string, string) (nad.Network, bool) { return nad.Network{}, false })
	if err != nil {
		tb.Error(err)
	}
	var rules []nad.Rule
	for _, f := range found {
		rules = append(rules, f.Rule)
	}
	return rules
}

// A tenant must not get another's address by a crowd of NADs of its own.
func TestACrowdOfNetworksDoesNotHideOneOfAnotherNamespace(t *testing.T) {
	asked := netip.MustParseAddr("10.10.1.70")
	for _, c := range []struct {
		name  string
		crowd func(i int) nad.Network
	}{
		{"all alike", func(i int) nad.Network { return handsOut(fmt.Sprintf("apps/n%d", i), "whereabouts", 70, 70) }},
		{"all different", func(i int) nad.Network {
			n := handsOut(fmt.Sprintf("apps/n%d", i), "whereabouts", i%71, 70+i/71)
			n.Plugins[0].IPAM.NetworkName = fmt.Sprint(i)
			return n
		}},
		{"around the address, from a third namespace", func(i int) nad.Network {
			n := handsOut(fmt.Sprintf("third/n%d", i), "whereabouts", i%70, 69)
			n.Plugins[0].IPAM.Pools[0].Ranges = append(n.Plugins[0].IPAM.Pools[0].Ranges, handsOut("", "", 71, 71+i/70).Ranges()...)
			return n
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			index := nad.NewIndex()
			for i := range 10_000 {
				index.Put(c.crowd(i))
			}
			checker := nad.NewChecker(nil, index)
			if rules := rulesOf(t, checker, asked); slices.Contains(rules, nad.ForeignRange) {
				t.Fatalf("rules %v, though no other namespace hands the address out", rules)
			}
			index.Put(handsOut("victim/net", "whereabouts", 64, 90))
			if rules := rulesOf(t, checker, asked); !slices.Contains(rules, nad.ForeignRange) {
				t.Errorf("rules %v, want %s", rules, nad.ForeignRange)
			}
			index.Delete("victim/net")
			if rules := rulesOf(t, checker, asked); slices.Contains(rules, nad.ForeignRange) {
				t.Errorf("rules %v after the other's network went", rules)
			}
		})
	}
}

// The answer is that of a comparison with each network, whatever was put,
// replaced and deleted before.
func TestForeignRangesAreThoseOfAComparisonWithEachNetwork(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	index, networks := nad.NewIndex(), map[string]nad.Network{}
	checker := nad.NewChecker(nil, index)
	for range 3000 {
		object := fmt.Sprintf("%s/n%d", []string{"apps", "b", "c"}[random.IntN(3)], random.IntN(100))
		if random.IntN(3) == 0 {
			index.Delete(object)
			delete(networks, object)
		} else {
			first := random.IntN(256)
			networks[object] = handsOut(object, []string{"whereabouts", "host-local", "static"}[random.IntN(3)], first, min(255, first+random.IntN(8)))
			index.Put(networks[object])
		}
		asked := netip.AddrFrom4([4]byte{10, 10, 1, byte(random.IntN(256))})
		want := false
		for name, n := range networks {
			given := slices.ContainsFunc(n.Ranges(), func(r nad.Range) bool { return r.Contains(asked) })
			want = want || given && name[:2] != "ap" && n.Plugins[0].IPAM.Type != "static"
		}
		if rules := rulesOf(t, checker, asked); slices.Contains(rules, nad.ForeignRange) != want {
			t.Fatalf("%s: rules %v, and that another namespace hands it out is %t", asked, rules, want)
		}
	}
}

// Admissions read the index and the reservations while the cache changes them.
func TestAnIndexAnswersWhileItChanges(t *testing.T) {
	index := nad.NewIndex(handsOut("victim/net", "whereabouts", 64, 90))
	checker := nad.NewChecker(vpc, index)
	asked := netip.MustParseAddr("10.10.1.70")
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 200 {
				object := fmt.Sprintf("apps/n%d-%d", worker, i%5)
				index.Put(handsOut(object, "whereabouts", i, 200))
				if rules := rulesOf(t, checker, asked); !slices.Contains(rules, nad.ForeignRange) {
					t.Errorf("rules %v, want %s", rules, nad.ForeignRange)
				}
				index.Delete(object)
			}
		})
	}
	group.Wait()
}

// What the reservations say is worked out once, not at each admission.
func TestAChecksCostDoesNotGrowWithTheReservations(t *testing.T) {
	asked := netip.MustParseAddr("10.10.1.70")
	allocations := func(n int) float64 {
		index, reservations := nad.NewIndex(), slices.Clone(vpc)
		for i := range n {
			cidr := fmt.Sprintf("10.%d.%d.0/24", 20+i>>8, i&255)
			reservations = append(reservations, reservation(cidr, nad.Explicit, fmt.Sprint("subnet-", i), cidr))
		}
		return testing.AllocsPerRun(20, func() {
			rulesOf(t, nad.NewChecker(reservations, index), asked)
		})
	}
	if few, many := allocations(10), allocations(5000); many > 2*few {
		t.Errorf("%.0f allocations with 5,000 reservations, %.0f with 10", many, few)
	}
}

func TestACheckSeesReservationsThatChanged(t *testing.T) {
	index, asked := nad.NewIndex(), netip.MustParseAddr("10.10.1.200")
	wider := append(slices.Clone(vpc), reservation("10.10.1.192/28", nad.Explicit, "subnet-a", "10.10.1.0/24"))
	for range 2 {
		if rules := rulesOf(t, nad.NewChecker(vpc, index), asked); !slices.Contains(rules, nad.NotReserved) {
			t.Errorf("rules %v before it was reserved", rules)
		}
		if rules := rulesOf(t, nad.NewChecker(wider, index), asked); slices.Contains(rules, nad.NotReserved) {
			t.Errorf("rules %v after it was reserved", rules)
		}
	}
}
