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

// FuzzRanges compares union, difference, intersection and prefixes with sets
// of single addresses.
func FuzzRanges(f *testing.F) {
	f.Add([]byte{1, 3, 4, 6}, []byte{2, 2})
	f.Add([]byte{0, 255, 7, 7}, []byte{0, 0, 255, 255})
	f.Add([]byte{10, 20, 15, 30, 40, 50}, []byte{18, 45})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, inX := spans(a)
		y, inY := spans(b)
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
func spans(pairs []byte) (ranges []nad.Range, in [256]bool) {
	for len(pairs) >= 2 {
		first, last := min(pairs[0], pairs[1]), max(pairs[0], pairs[1])
		ranges = append(ranges, span(first, last))
		for i := int(first); i <= int(last); i++ {
			in[i] = true
		}
		pairs = pairs[2:]
	}
	return ranges, in
}

// agree fails unless the ranges are those of the set, sorted and with gaps.
func agree(t *testing.T, what string, ranges []nad.Range, in func(int) bool) {
	t.Helper()
	var got [256]bool
	for i, r := range ranges {
		first, last := r.First.As4()[3], r.Last.As4()[3]
		if first > last || i > 0 && int(first) <= int(ranges[i-1].Last.As4()[3])+1 {
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
