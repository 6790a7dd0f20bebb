package address_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/address"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// all lists the candidates by At.
func all(c address.Candidates) []string {
	var list []string
	for i := range c.Len() {
		a, _ := c.At(i)
		list = append(list, a.String())
	}
	return list
}

func TestWhichAddressesAWorkerMayHave(t *testing.T) {
	const lan = "10.10.1.0/28"
	for _, tc := range []struct {
		name    string
		subnet  address.Subnet
		workers string
		want    []string
	}{
		{
			name:   "AWS keeps the first four and the last",
			subnet: address.Subnet{CIDR: netip.MustParsePrefix("10.10.1.0/29")},
			want:   []string{"10.10.1.4", "10.10.1.5", "10.10.1.6"},
		},
		{
			name:   "held addresses and delegated prefixes are left out, of IPv6 nothing is",
			subnet: address.Subnet{CIDR: netip.MustParsePrefix(lan), Held: prefixes("10.10.1.5/32", "10.10.1.8/30", "2001:db8::/64")},
			want:   []string{"10.10.1.4", "10.10.1.6", "10.10.1.7", "10.10.1.12", "10.10.1.13", "10.10.1.14"},
		},
		{
			name:   "reservations are for pods",
			subnet: address.Subnet{CIDR: netip.MustParsePrefix(lan), Reserved: prefixes("10.10.1.8/29")},
			want:   []string{"10.10.1.4", "10.10.1.5", "10.10.1.6", "10.10.1.7"},
		},
		{
			name:    "one that lies wholly within the range for workers is for them",
			subnet:  address.Subnet{CIDR: netip.MustParsePrefix(lan), Reserved: prefixes("10.10.1.4/31", "10.10.1.6/31")},
			workers: "10.10.1.4-10.10.1.6",
			want:    []string{"10.10.1.4", "10.10.1.5"},
		},
		{
			name:    "a range for workers is cut to the subnet",
			subnet:  address.Subnet{CIDR: netip.MustParsePrefix(lan)},
			workers: "10.10.0.0/16",
			want:    []string{"10.10.1.4", "10.10.1.5", "10.10.1.6", "10.10.1.7", "10.10.1.8", "10.10.1.9", "10.10.1.10", "10.10.1.11", "10.10.1.12", "10.10.1.13", "10.10.1.14"},
		},
		{
			name:    "a range of another subnet leaves none",
			subnet:  address.Subnet{CIDR: netip.MustParsePrefix(lan)},
			workers: "10.10.2.4-10.10.2.9",
		},
		{
			name:   "what EC2 refused a moment ago is excluded",
			subnet: address.Subnet{CIDR: netip.MustParsePrefix("10.10.1.0/29"), Excluded: []netip.Addr{netip.MustParseAddr("10.10.1.4")}},
			want:   []string{"10.10.1.5", "10.10.1.6"},
		},
		{name: "a subnet without IPv4 has none", subnet: address.Subnet{}},
		{
			name:   "overlapping ranges count once",
			subnet: address.Subnet{CIDR: netip.MustParsePrefix(lan), Held: prefixes("10.10.1.4/30", "10.10.1.5/32"), Reserved: prefixes("10.10.1.0/29", "10.10.1.8/30")},
			want:   []string{"10.10.1.12", "10.10.1.13", "10.10.1.14"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var workers spec.Range
			if tc.workers != "" {
				var err error
				if workers, err = spec.ParseRange(tc.workers); err != nil {
					t.Fatal(err)
				}
			}
			if got := all(address.Free(tc.subnet, workers, tc.workers != "")); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestARankPastTheEndIsTheLastCandidate(t *testing.T) {
	c := address.Free(address.Subnet{CIDR: netip.MustParsePrefix("10.10.1.0/29"), Held: prefixes("10.10.1.5/32")}, spec.Range{}, false)
	for rank, want := range map[int]string{-1: "10.10.1.4", 0: "10.10.1.4", 1: "10.10.1.6", 2: "10.10.1.6", 1 << 20: "10.10.1.6"} {
		if got, ok := c.At(rank); !ok || got.String() != want {
			t.Errorf("rank %d: got %v, want %s", rank, got, want)
		}
	}
	if got, ok := (address.Candidates{}).At(0); ok {
		t.Errorf("got %v of no candidates", got)
	}
}

func TestClaimantsOfASubnetTakeDifferentRanks(t *testing.T) {
	var claimants []address.Claimant
	for i := range 50 {
		for _, network := range []string{"n3", "n6"} {
			claimants = append(claimants, address.Claimant{Instance: fmt.Sprintf("i-%02d", i), Network: network})
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(claimants), func(i, j int) { claimants[i], claimants[j] = claimants[j], claimants[i] })
	twice := slices.Concat(claimants, claimants) // one that is listed twice counts once
	seen := map[int]bool{}
	for _, c := range claimants {
		rank := address.Rank(c, twice)
		if seen[rank] || rank < 0 || rank >= len(claimants) {
			t.Errorf("%v: rank %d", c, rank)
		}
		seen[rank] = true
	}
	if got := address.Rank(address.Claimant{Instance: "i-zz", Network: "n3"}, claimants); got != 0 {
		t.Errorf("one that nobody sees claim anything: rank %d", got)
	}
}

// FuzzFree compares the sweep over sorted ranges with a look at each address.
func FuzzFree(f *testing.F) {
	f.Add(uint64(1), uint8(28), uint8(4), uint8(20))
	f.Add(uint64(7), uint8(24), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, bits, from, to uint8) {
		random := rand.New(rand.NewPCG(seed, 0))
		near := func(least int) netip.Prefix {
			a := netip.AddrFrom4([4]byte{10, 10, 1, byte(random.IntN(256))})
			p, _ := a.Prefix(least + random.IntN(33-least))
			return p
		}
		cidr, _ := netip.MustParseAddr("10.10.1.0").Prefix(24 + int(bits)%6)
		s := address.Subnet{CIDR: cidr}
		for range random.IntN(8) {
			s.Held = append(s.Held, near(26))
			s.Reserved = append(s.Reserved, near(26))
			s.Excluded = append(s.Excluded, near(32).Addr())
		}
		workers := spec.Range{First: netip.AddrFrom4([4]byte{10, 10, 1, min(from, to)}), Last: netip.AddrFrom4([4]byte{10, 10, 1, max(from, to)})}
		limited := from != to
		var want []string
		first, last := spec.Ends(cidr)
		for a := first; cidr.Contains(a); a = a.Next() {
			if mayHave(a, first, last, s, workers, limited) {
				want = append(want, a.String())
			}
		}
		if got := all(address.Free(s, workers, limited)); !slices.Equal(got, want) {
			t.Errorf("subnet %+v, workers %v: got %v, want %v", s, workers, got, want)
		}
	})
}

// mayHave is the rule for one address.
func mayHave(a, first, last netip.Addr, s address.Subnet, workers spec.Range, limited bool) bool {
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	number := func(a netip.Addr) int { return int(a.As4()[3]) }
	reserved := slices.ContainsFunc(s.Reserved, func(p netip.Prefix) bool { return p.Contains(a) && (!limited || !workers.Contains(p)) })
	return number(a) >= number(first)+4 && a != last && !in(s.Held) && !reserved && !slices.Contains(s.Excluded, a) &&
		(!limited || workers.Contains(netip.PrefixFrom(a, 32)))
}
