package nad

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// hostLocalRange is a range of host-local: at the top in the old form, else in
// a set of ranges.
type hostLocalRange struct {
	Subnet  subnetText `json:"subnet"`
	Start   string     `json:"rangeStart"`
	End     string     `json:"rangeEnd"`
	Gateway string     `json:"gateway"`

	field string // "spec.config.ipam.ranges[0][0]"
}

// subnetText is a subnet as it is written. host-local refuses an empty or null
// subnet, but not a missing one.
type subnetText struct {
	text  string
	given bool
}

// UnmarshalJSON takes a string or null.
func (s *subnetText) UnmarshalJSON(data []byte) error {
	s.given = true
	return json.Unmarshal(data, &s.text)
}

// hostLocal reads the section of the IPAM plugin of that name. A pod gets one
// address of each set.
// Source: github.com/containernetworking/plugins, plugins/ipam/host-local.
func (r *reader) hostLocal() {
	var section struct {
		RuntimeConfig struct {
			requested
			IPRanges [][]hostLocalRange `json:"ipRanges"`
		} `json:"runtimeConfig"`
		Args struct {
			CNI requested `json:"cni"`
		} `json:"args"`
		IPAM struct {
			result
			hostLocalRange
			DataDir    string             `json:"dataDir"`
			ResolvConf string             `json:"resolvConf"`
			Ranges     [][]hostLocalRange `json:"ranges"`
		} `json:"ipam"`
	}
	if !r.decode(&section) {
		return
	}
	asked := len(section.Args.CNI.IPs) + len(section.RuntimeConfig.IPs)
	if !r.fits(r.ipam.Field+".ranges", "ranges", &r.sums.ranges, size(section.RuntimeConfig.IPRanges)+size(section.IPAM.Ranges), MaxRanges) ||
		!r.fits(r.plugin+".args.cni.ips", "addresses", &r.sums.addresses, asked, MaxAddresses) {
		return
	}
	r.routes(section.IPAM.Routes)
	sets := r.placed(r.plugin+".runtimeConfig.ipRanges", section.RuntimeConfig.IPRanges) // they are handed out first
	if top := section.IPAM.hostLocalRange; top.Subnet.given {
		top.field = r.ipam.Field
		sets = append(sets, []hostLocalRange{top})
	}
	sets = append(sets, r.placed(r.ipam.Field+".ranges", section.IPAM.Ranges)...)
	if len(sets) == 0 {
		r.add(IPAMMalformed, r.ipam.Field+".ranges", "host-local has no range; add one such as \"ranges\": [[{\"subnet\": \"10.10.1.0/24\", \"rangeStart\": \"10.10.1.70\", \"rangeEnd\": \"10.10.1.79\"}]]")
	}
	r.sets(sets)
	r.ipam.args = wishes(r.plugin+".args.cni.ips", section.Args.CNI.IPs)
	r.ipam.runtime = wishes(r.plugin+".runtimeConfig.ips", section.RuntimeConfig.IPs)
	r.place(r.ipam.Pools, slices.Concat(r.ipam.args, r.ipam.runtime))
}

// size counts the ranges of a list of sets, the empty sets too.
func size(sets [][]hostLocalRange) int {
	n := 0
	for _, set := range sets {
		n += max(1, len(set))
	}
	return n
}

// placed says where each range of a list of sets is written.
func (r *reader) placed(field string, sets [][]hostLocalRange) [][]hostLocalRange {
	for i, set := range sets {
		for j := range set {
			set[j].field = fmt.Sprintf("%s[%d][%d]", field, i, j)
		}
		if len(set) == 0 {
			r.add(IPAMMalformed, fmt.Sprintf("%s[%d]", field, i), "host-local refuses an empty set; remove it")
		}
	}
	return sets
}

// sets reads all sets, and compares each range with those before it.
func (r *reader) sets(sets [][]hostLocalRange) {
	var before series
	var firsts []netip.Addr
	for i, set := range sets {
		for j, h := range set {
			all, err := r.hostLocalRange(i, h)
			if err != nil {
				r.add(IPAMMalformed, h.field, "host-local refuses this: %v", err)
				continue
			}
			if j == 0 {
				firsts = append(firsts, all.First)
			} else if len(firsts) > 0 && all.First.BitLen() != firsts[len(firsts)-1].BitLen() {
				r.add(IPAMMalformed, h.field, "host-local refuses IPv4 and IPv6 in one set; give each family its own set: [[...], [...]]")
			}
			if other, field, overlaps := before.put(all, h.field); overlaps {
				r.add(IPAMMalformed, h.field, "host-local refuses this: it overlaps %s (%s)", field, other)
			}
		}
	}
	r.single(r.ipam.version, r.ipam.Field+".ranges", firsts)
}

// series is ranges without overlaps, in order, and where each is written.
type series []placedRange

type placedRange struct {
	all   Range
	field string
}

// put adds a range, unless it overlaps one that is there, which it returns.
func (s *series) put(r Range, field string) (other Range, at string, overlaps bool) {
	i, _ := slices.BinarySearchFunc(*s, r.First, func(p placedRange, first netip.Addr) int { return p.all.Last.Compare(first) })
	if i < len(*s) && (*s)[i].all.Overlaps(r) {
		return (*s)[i].all, (*s)[i].field, true
	}
	*s = slices.Insert(*s, i, placedRange{r, field})
	return Range{}, "", false
}

// hostLocalRange adds a range's pool, and returns it with its gateway, which
// is not handed out. The bounds are included; by default they are the subnet's
// second and, of IPv4, last but one address.
func (r *reader) hostLocalRange(set int, h hostLocalRange) (Range, error) {
	network, err := h.network()
	if err != nil {
		return Range{}, err
	}
	all := RangeOf(network)
	all.First = all.First.Next()
	if network.Addr().Is4() {
		all.Last = all.Last.Prev()
	}
	gateway := all.First
	pool := Pool{set: set}
	bounds := []struct {
		text string
		to   *netip.Addr
	}{{h.Start, &all.First}, {h.End, &all.Last}, {h.Gateway, &pool.Gateway}}
	for _, b := range bounds {
		if b.text == "" {
			continue
		}
		if *b.to, err = parseAddr(b.text); err != nil {
			return Range{}, err
		}
	}
	if err := h.within(network, all); err != nil {
		return Range{}, err
	}
	if pool.Gateway.IsValid() {
		gateway = pool.Gateway
	}
	pool.Field, pool.GatewayField, pool.Network = h.field+".subnet", h.field+".gateway", network
	pool.Ranges = Subtract([]Range{all}, []Range{{gateway, gateway}})
	r.give(pool)
	return all, nil
}

func (h hostLocalRange) network() (netip.Prefix, error) {
	if !h.Subnet.given {
		return netip.Prefix{}, errors.New("it has no subnet")
	}
	p, err := parseCIDR(h.Subnet.text)
	switch {
	case err != nil:
		return p, fmt.Errorf("subnet: %w", err)
	case p != p.Masked():
		return p, fmt.Errorf("subnet %s has host bits set; write %s", p, p.Masked())
	case !hasUsable(p):
		return p, fmt.Errorf("subnet %s %w; write the subnet's length, and rangeStart and rangeEnd", p, errTooSmall)
	}
	return p, nil
}

func (h hostLocalRange) within(network netip.Prefix, all Range) error {
	switch {
	case !network.Contains(all.First):
		return fmt.Errorf("rangeStart %s is not in subnet %s", all.First, network)
	case !network.Contains(all.Last):
		return fmt.Errorf("rangeEnd %s is not in subnet %s", all.Last, network)
	case all.Last.Less(all.First):
		return fmt.Errorf("rangeEnd %s is before rangeStart %s", all.Last, all.First)
	}
	return nil
}
