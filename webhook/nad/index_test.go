package nad_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// givers compares an address with all networks one by one: what an Index
// answers without that.
func givers(networks map[string]nad.Network, addr netip.Addr, own string) []string {
	var names []string
	for name, n := range networks {
		gives := func(r nad.Range) bool { return r.Contains(addr) }
		if name != own && slices.ContainsFunc(n.Ranges(), gives) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// The index has to find what a comparison with each network finds, whatever
// was put, replaced and deleted before, in both families and at their ends.
func TestAnIndexFindsWhatAComparisonWithEachNetworkFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	bases := []string{"0.0.0.0", "10.10.1.0", "255.255.255.0", "::", "fd00::ff00", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"}
	address := func(base string, offset int) netip.Addr {
		bytes := netip.MustParseAddr(base).AsSlice()
		bytes[len(bytes)-1] = byte(offset)
		addr, _ := netip.AddrFromSlice(bytes)
		return addr
	}
	network := func(object string) nad.Network {
		n := nad.Network{Object: object, Managed: true, Plugins: []nad.PluginConfig{{IPAM: nad.IPAM{Type: "whereabouts", Apart: true}}}}
		base := bases[random.IntN(len(bases))]
		for range 1 + random.IntN(3) {
			first := random.IntN(256)
			last := min(255, first+random.IntN(60))
			pool := nad.Pool{Ranges: nad.Subtract([]nad.Range{{First: address(base, first), Last: address(base, last)}}, []nad.Range{{First: address(base, first+1), Last: address(base, first+1)}})}
			n.Plugins[0].IPAM.Pools = append(n.Plugins[0].IPAM.Pools, pool)
		}
		return n
	}
	index, networks := nad.NewIndex(), map[string]nad.Network{}
	for range 2000 {
		object := fmt.Sprintf("ns/n%d", random.IntN(8)) // few, so that not more than a message lists
		if random.IntN(4) == 0 {
			index.Delete(object)
			delete(networks, object)
		} else {
			networks[object] = network(object)
			index.Put(networks[object])
		}
		addr := address(bases[random.IntN(len(bases))], random.IntN(256))
		selections := []nad.Selection{{Namespace: "ns", Name: "n0", IPs: []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, Texts: []string{addr.String()}}}
		none := func(string, string) (nad.Network, bool) { return nad.Network{}, false }
		found, err := nad.NewChecker(nil, index).Pod(t.Context(), "", selections, none)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range found {
			if f.Rule == nad.RangeOverlap {
				_, got, _ = strings.Cut(f.Message, "is in a range of ")
				got, _, _ = strings.Cut(got, ", which may give")
			}
		}
		if want := strings.Join(givers(networks, addr, "ns/n0"), ", "); got != want {
			t.Fatalf("%s is given by %q, want %q", addr, got, want)
		}
	}
}

func TestOverlapsWithManyNetworksAreCountedOrSaidToBeTooMany(t *testing.T) {
	copies := nad.NewIndex()
	distinct := nad.NewIndex()
	for i := range 5000 {
		object := nad.Definition{Namespace: fmt.Sprintf("ns%04d", i), Name: "net", Config: with(`"range":"10.10.1.64/26"`)}
		copies.Put(nad.Read(object))
		object.Config = with(fmt.Sprintf(`"range":"10.10.0.0-10.10.%d.%d/16"`, 2+i>>8, i&255))
		distinct.Put(nad.Read(object))
	}
	one := nad.Definition{Namespace: "ns", Name: "one", Config: with(`"range":"10.10.1.70-10.10.1.79/24"`)}
	for _, c := range []struct {
		name  string
		index *nad.Index
		want  []string // parts of the messages of range-overlap, in order
	}{
		{"copies of one network", copies, []string{"ns0000/net, ns0001/net, ns0002/net, ns0003/net, ns0004/net, ns0005/net, ns0006/net, ns0007/net, 4992 more too"}},
		{"networks that all differ", distinct, []string{", 56 more too", "was not compared with all other networks"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var messages []string
			for _, f := range checked(t, nad.NewChecker(vpc, c.index), one).Findings {
				if f.Rule == nad.RangeOverlap {
					messages = append(messages, f.Message)
				}
			}
			if len(messages) != len(c.want) {
				t.Fatalf("messages %q", messages)
			}
			for i, want := range c.want {
				if !strings.Contains(messages[i], want) {
					t.Errorf("message %q lacks %q", messages[i], want)
				}
			}
		})
	}
}

func TestACheckEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	checker := nad.NewChecker(vpc, nil)
	if _, err := checker.NAD(ctx, nad.Definition{Config: with(`"range":"10.10.1.64/26"`)}); err == nil {
		t.Error("a NAD was checked after the end")
	}
	selections, err := nad.Selections("ns", `[{"name":"n","ips":["10.10.1.70/24"]}]`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := checker.Pod(ctx, "ns/pod", selections, func(string, string) (nad.Network, bool) { return nad.Network{}, false }); err == nil {
		t.Error("a pod was checked after the end")
	}
}
