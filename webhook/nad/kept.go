package nad

import (
	"cmp"
	"slices"
)

// Kept is what a cache keeps of a network, so that many of the largest fit into
// memory: no findings, and of more than maxPieces ranges fewer, whose smallest
// gaps count as handed out. Only exclusions make so many, and who excludes
// addresses of a range may hand them out as well: nobody gains anything by it.
func (n Network) Kept() Network {
	n.Findings = nil
	total := 0
	for _, p := range n.Pools() {
		total += len(p.Ranges)
	}
	if total <= maxPieces {
		return n
	}
	n.Plugins = slices.Clone(n.Plugins)
	for i := range n.Plugins {
		pools := slices.Clone(n.Plugins[i].IPAM.Pools)
		for j, p := range pools {
			p.Field, p.GatewayField = "", "" // which are for findings
			p.Ranges = coarse(p.Ranges, max(1, maxPieces*len(p.Ranges)/total))
			pools[j] = p
		}
		n.Plugins[i].IPAM.Pools = pools
	}
	return n
}

// coarse closes the smallest gaps of a union of one family, so that no more than
// most ranges are left.
func coarse(union []Range, most int) []Range {
	if len(union) <= most {
		return union
	}
	size := make([]int, len(union)) // of the gap before each range, as its number of bits
	gaps := make([]int, 0, len(union))
	for i := 1; i < len(union); i++ {
		size[i] = numberOf(union[i].First).minus(numberOf(union[i-1].Last)).bitLen()
		gaps = append(gaps, i)
	}
	slices.SortStableFunc(gaps, func(a, b int) int { return cmp.Compare(size[a], size[b]) })
	closed := make([]bool, len(union))
	for _, i := range gaps[:len(union)-most] {
		closed[i] = true
	}
	merged := make([]Range, 0, most)
	for i, r := range union {
		if closed[i] {
			merged[len(merged)-1].Last = r.Last
		} else {
			merged = append(merged, r)
		}
	}
	return merged
}
