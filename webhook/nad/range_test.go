package nad_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// span returns a range that begins and ends so many addresses after 10.0.0.0.
func span(first, last byte) nad.Range {
	return nad.Range{First: netip.AddrFrom4([4]byte{10, 0, 0, first}), Last: netip.AddrFrom4([4]byte{10, 0, 0, last})}
}

func TestPrefixesHoldExactlyTheRange(t *testing.T) {
	v6 := func(first, last string) nad.Range {
		return nad.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
	}
	for _, c := range []struct {
		name string
		give nad.Range
		want []string
	}{
		{"one address", span(7, 7), []string{"10.0.0.7/32"}},
		{"a network", span(64, 127), []string{"10.0.0.64/26"}},
		{"an uneven range", span(65, 70), []string{"10.0.0.65/32", "10.0.0.66/31", "10.0.0.68/31", "10.0.0.70/32"}},
		{"all IPv4 addresses", v6("0.0.0.0", "255.255.255.255"), []string{"0.0.0.0/0"}},
		{"the last IPv6 addresses", v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range c.give.Prefixes() {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("prefixes (-want +got):\n%s", diff)
			}
		})
	}
}

// blocks are 256 addresses each, of both families and at the ends of both,
// where there is no address before the first or after the last.
var blocks = []string{"10.0.0.0", "0.0.0.0", "255.255.255.0", "::", "fd00::100", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00"}

// FuzzRanges compares union, difference, intersection and prefixes with sets
// of single addresses.
func FuzzRanges(f *testing.F) {
	for i := range blocks {
		f.Add(byte(i), []byte{1, 3, 4, 6}, []byte{2, 2})
		f.Add(byte(i), []byte{0, 255, 7, 7}, []byte{0, 0, 255, 255})
		f.Add(byte(i), []byte{10, 20, 15, 30, 40, 50}, []byte{18, 45})
		f.Add(byte(i), []byte{0, 9, 11, 19, 21, 29, 31, 255}, []byte{5, 40, 200, 255, 0, 0})
	}
	f.Fuzz(func(t *testing.T, block byte, a, b []byte) {
		base := netip.MustParseAddr(blocks[int(block)%len(blocks)])
		x, inX := spans(base, a)
		y, inY := spans(base, b)
		agree(t, "union", nad.Union(x), func(i int) bool { return inX[i] })
		agree(t, "difference", nad.Subtract(x, y), func(i int) bool { return inX[i] && !inY[i] })
		agree(t, "intersection", nad.Intersect(x, y), func(i int) bool { return inX[i] && inY[i] })
		var whole []nad.Range
		for _, r := range nad.Union(x) {
			for _, p := range r.Prefixes() {
				whole = append(whole, nad.RangeOf(p))
			}
		}
		agree(t, "prefixes", nad.Union(whole), func(i int) bool { return inX[i] })
	})
}

// spans makes ranges of pairs of bytes, and the set of their addresses.
func spans(base netip.Addr, pairs []byte) (ranges []nad.Range, in [256]bool) {
	for len(pairs) >= 2 {
		first, last := min(pairs[0], pairs[1]), max(pairs[0], pairs[1])
		ranges = append(ranges, nad.Range{First: at(base, first), Last: at(base, last)})
		for i := int(first); i <= int(last); i++ {
			in[i] = true
		}
		pairs = pairs[2:]
	}
	return ranges, in
}

// at is the address so far into a block, offset how far into its block one is.
func at(base netip.Addr, offset byte) netip.Addr {
	bytes := base.AsSlice()
	bytes[len(bytes)-1] = offset
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

func offset(a netip.Addr) byte {
	bytes := a.AsSlice()
	return bytes[len(bytes)-1]
}

// agree fails unless the ranges are those of the set, sorted and with gaps.
func agree(t *testing.T, what string, ranges []nad.Range, in func(int) bool) {
	t.Helper()
	var got [256]bool
	for i, r := range ranges {
		first, last := offset(r.First), offset(r.Last)
		if first > last || i > 0 && int(first) <= int(offset(ranges[i-1].Last))+1 {
			t.Fatalf("%s is not sorted, or ranges touch: %v", what, ranges)
		}
		for j := int(first); j <= int(last); j++ {
			got[j] = true
		}
	}
	for i := range got {
		if got[i] != in(i) {
			t.Fatalf("%s %v holds %d: %t, want %t", what, ranges, i, got[i], in(i))
		}
	}
}
