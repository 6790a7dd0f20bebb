package nad

import (
	"fmt"
	"net/netip"
	"strings"
)

// whereabouts is the section of the IPAM plugin of that name.
// Source: github.com/k8snetworkplumbingwg/whereabouts, pkg/config and
// pkg/iphelpers (GetIPRange).
type whereabouts struct {
	whereaboutsRange
	IPRanges          []whereaboutsRange `json:"ipRanges"`
	Addresses         []staticAddress    `json:"addresses"`
	Gateway           string             `json:"gateway"`
	NodeSliceSize     string             `json:"node_slice_size"`
	NetworkName       string             `json:"network_name"`
	OverlappingRanges *bool              `json:"enable_overlapping_ranges"`
	ConfigurationPath string             `json:"configuration_path"`
}

// whereaboutsRange is a range at the top or in ipRanges.
type whereaboutsRange struct {
	Range   string   `json:"range"`
	Start   string   `json:"range_start"`
	End     string   `json:"range_end"`
	Exclude []string `json:"exclude"`

	field   string // "spec.config.ipam", "spec.config.ipam.ipRanges[0]"
	strict  bool   // an unreadable bound is refused; at the top it is ignored
	sliced  bool   // nodes take slices of Range, and bounds are ignored
	network netip.Prefix
	gateway netip.Addr
}

func (r *reader) whereabouts() {
	var section struct {
		IPAM whereabouts `json:"ipam"`
	}
	if !r.decode(&section) {
		return
	}
	c := section.IPAM
	r.ipam.NetworkName, r.ipam.Apart = c.NetworkName, c.OverlappingRanges == nil || *c.OverlappingRanges
	gateway := r.gateway(r.ipam.Field+".gateway", c.Gateway)
	for _, w := range c.ranges(r.ipam.Field) {
		w.gateway = gateway
		r.whereaboutsRange(w)
	}
	r.addresses(r.ipam.Field+".addresses", c.Addresses, parseSloppyCIDR)
	if c.Range != "" || len(c.IPRanges)+len(c.Addresses) > 0 {
		return
	}
	if c.ConfigurationPath != "" {
		r.add(ConfigOnDisk, r.ipam.Field+".configuration_path", "the range may be in %s on each worker, which cannot be checked; write it into the NAD", c.ConfigurationPath)
		return
	}
	r.add(IPAMMalformed, r.ipam.Field+".range", "whereabouts has no range; add one such as \"range\": \"10.10.1.70-10.10.1.120/24\"")
}

// ranges lists the ranges in whereabouts's order. Without a range at the top,
// the bounds and exclusions there mean nothing.
func (c whereabouts) ranges(field string) []whereaboutsRange {
	var all []whereaboutsRange
	if c.Range != "" {
		w := c.whereaboutsRange
		w.field = field
		all = append(all, w)
	}
	for i, w := range c.IPRanges {
		w.field, w.strict = fmt.Sprintf("%s.ipRanges[%d]", field, i), true
		all = append(all, w)
	}
	for i := range all {
		all[i].sliced = c.NodeSliceSize != ""
	}
	return all
}

// whereaboutsRange works out what a range hands out: the network without its
// first and last address, within the bounds, without the exclusions.
func (r *reader) whereaboutsRange(w whereaboutsRange) {
	field := w.field + ".range"
	if err := w.split(); err != nil {
		r.add(IPAMMalformed, field, "whereabouts refuses this: %v", err)
		return
	}
	if !hasUsable(w.network) {
		r.add(RangeEmpty, field, "%s %v, which whereabouts does not hand out; write first and last address and the subnet's length: %s/24", w.network, errTooSmall, RangeOf(w.network))
		return
	}
	usable := RangeOf(w.network)
	usable.First, usable.Last = usable.First.Next(), usable.Last.Prev()
	r.bound(w, "range_start", w.Start, &usable, &usable.First)
	r.bound(w, "range_end", w.End, &usable, &usable.Last)
	pool := Pool{Field: field, Network: w.network, Ranges: Subtract([]Range{usable}, r.exclusions(w))}
	if w.gateway.BitLen() == w.network.Addr().BitLen() {
		pool.Gateway, pool.GatewayField = w.gateway, r.ipam.Field+".gateway"
	}
	r.give(pool)
}

// split reads Range: a CIDR, or first-last/length, which sets the bounds.
func (w *whereaboutsRange) split() error {
	first, rest, both := strings.Cut(w.Range, "-")
	if !both {
		rest = first
	}
	last, err := parseSloppyCIDR(rest)
	if err != nil {
		return err
	}
	w.network = last.Masked()
	if !both {
		return nil
	}
	start, err := parseSloppyAddr(first)
	if err != nil {
		return err
	}
	if !w.network.Contains(start) {
		return fmt.Errorf("%s, the first address, is not in %s", start, w.network)
	}
	w.Start, w.End = start.String(), last.Addr().String()
	return nil
}

// bound moves one end of the usable range to what is written. Whereabouts
// ignores a bound that is out of place without a word.
func (r *reader) bound(w whereaboutsRange, key, text string, usable *Range, end *netip.Addr) {
	if text == "" {
		return
	}
	field := w.field + "." + key
	parse := parseSloppyAddr
	if w.strict {
		parse = parseAddr
	}
	a, err := parse(text)
	whole := RangeOf(w.network)
	switch {
	case err != nil && w.strict:
		r.add(IPAMMalformed, field, "whereabouts refuses this: %v", err)
	case err != nil:
		r.add(SettingIgnored, field, "whereabouts ignores this, as %v, and hands out %s", err, usable)
	case w.sliced:
		r.add(SettingIgnored, field, "whereabouts ignores this where node_slice_size is set")
	case usable.Contains(a):
		*end = a
	case a == whole.First && *end == whole.First.Next(), a == whole.Last && *end == whole.Last.Prev():
		// The network's own end, which is never handed out: the same as without.
	default:
		r.add(SettingIgnored, field, "whereabouts ignores this, as %s is not in %s, which it hands out", a, usable)
	}
}

func (r *reader) exclusions(w whereaboutsRange) []Range {
	var excluded []Range
	for i, text := range w.Exclude {
		field := fmt.Sprintf("%s.exclude[%d]", w.field, i)
		p, err := parseCIDR(text)
		if a, errAddr := parseAddr(text); errAddr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		switch {
		case err != nil:
			r.add(IPAMMalformed, field, "whereabouts refuses this: %v", err)
		case w.sliced:
			r.add(SettingIgnored, field, "whereabouts ignores this where node_slice_size is set; reserve the addresses otherwise")
		default:
			excluded = append(excluded, RangeOf(p))
		}
	}
	return excluded
}

// gateway reads a gateway, if one is written.
func (r *reader) gateway(field, text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	a, err := parseSloppyAddr(text)
	if err != nil {
		r.add(IPAMMalformed, field, "%s refuses this: %v", r.ipam.Type, err)
	}
	return a
}
