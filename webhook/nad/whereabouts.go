package nad

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// whereabouts is the section of the IPAM plugin of that name.
// Source: github.com/k8snetworkplumbingwg/whereabouts, pkg/config and
// pkg/iphelpers (GetIPRange).
type whereabouts struct {
	result
	whereaboutsRange
	DNS               types.DNS           `json:"dns"`
	Datastore         string              `json:"datastore"`
	IPRanges          []whereaboutsStrict `json:"ipRanges"`
	Addresses         []staticAddress     `json:"addresses"`
	GatewayText       string              `json:"gateway"`
	NodeSliceSize     string              `json:"node_slice_size"`
	NetworkName       string              `json:"network_name"`
	OverlappingRanges *bool               `json:"enable_overlapping_ranges"`
	ConfigurationPath string              `json:"configuration_path"`
	LeaseDuration     int                 `json:"leader_lease_duration"`
	RenewDeadline     int                 `json:"leader_renew_deadline"`
	RetryPeriod       int                 `json:"leader_retry_period"`
	LogFile           string              `json:"log_file"`
	LogLevel          string              `json:"log_level"`
	Reconciler        string              `json:"reconciler_cron_expression"`
	SleepForRace      int                 `json:"sleep_for_race"`
	Kubernetes        struct {
		KubeConfigPath string `json:"kubeconfig"`
		K8sAPIRoot     string `json:"k8s_api_root"`
	} `json:"kubernetes"`
	// What whereabouts keeps for itself: keys of these names are decoded too.
	Gateway, PodName, PodNamespace string
}

// whereaboutsStrict is a range in ipRanges, whose bounds have to be addresses.
type whereaboutsStrict struct {
	Range   string   `json:"range"`
	Start   net.IP   `json:"range_start"`
	End     net.IP   `json:"range_end"`
	Exclude []string `json:"exclude"`
}

// whereaboutsRange is a range at the top or in ipRanges.
type whereaboutsRange struct {
	Range   string   `json:"range"`
	Start   string   `json:"range_start"`
	End     string   `json:"range_end"`
	Exclude []string `json:"exclude"`

	field   string // "spec.config.ipam", "spec.config.ipam.ipRanges[0]"
	sliced  bool   // nodes take slices of Range, and bounds are ignored
	dashed  bool   // the bounds are in Range: first-last/length
	network netip.Prefix
	gateway netip.Addr
}

func (r *reader) whereabouts() {
	var section struct {
		Name string      `json:"name"`
		IPAM whereabouts `json:"ipam"`
	}
	if !r.decode(&section) {
		return
	}
	c := section.IPAM
	r.routes(c.Routes)
	r.ipam.NetworkName, r.ipam.Apart = c.NetworkName, c.OverlappingRanges == nil || *c.OverlappingRanges
	if !r.fits(r.ipam.Field+".ipRanges", "ranges", &r.sums.ranges, len(c.IPRanges), MaxRanges) ||
		!r.fits(r.ipam.Field+".exclude", "exclusions", &r.sums.exclusions, c.exclusions(), MaxExclusions) ||
		!r.fits(r.ipam.Field+".addresses", "addresses", &r.sums.addresses, len(c.Addresses), MaxAddresses) {
		return
	}
	gateway := r.gateway(r.ipam.Field+".gateway", c.GatewayText)
	ranges := c.ranges(r.ipam.Field)
	for i := range ranges {
		ranges[i].gateway = gateway
		r.whereaboutsRange(&ranges[i])
	}
	if c.NetworkName != "" && !objectName(c.NetworkName+"-0") {
		r.add(IPAMMalformed, r.ipam.Field+".network_name", "no pod starts: whereabouts names objects after %q, which Kubernetes refuses; write lower case letters, digits and dashes", c.NetworkName)
	}
	r.onePoolEach(ranges)
	r.slices(c, section.Name, ranges)
	r.addresses(r.ipam.Field+".addresses", c.Addresses, parseSloppyCIDR)
	if c.Range != "" || len(c.IPRanges)+len(c.Addresses) > 0 {
		r.unused(c)
		return
	}
	if c.ConfigurationPath != "" {
		r.add(ConfigOnDisk, r.ipam.Field+".configuration_path", "the range may be in %s on each worker, which cannot be checked; write it into the NAD", c.ConfigurationPath)
		return
	}
	r.add(IPAMMalformed, r.ipam.Field+".range", "whereabouts has no range; add one such as \"range\": \"10.10.1.70-10.10.1.120/24\"")
}

// unused says that bounds and exclusions next to ipRanges mean nothing.
func (r *reader) unused(c whereabouts) {
	if c.Range != "" {
		return
	}
	for _, setting := range []struct {
		key   string
		given bool
	}{{"range_start", c.Start != ""}, {"range_end", c.End != ""}, {"exclude", len(c.Exclude) > 0}} {
		if setting.given {
			r.add(SettingIgnored, r.ipam.Field+"."+setting.key, "whereabouts ignores this without \"range\" next to it; write it into the elements of ipRanges")
		}
	}
}

// exclusions counts those of all ranges.
func (c whereabouts) exclusions() int {
	n := len(c.Exclude)
	for _, w := range c.IPRanges {
		n += len(w.Exclude)
	}
	return n
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
	for i, s := range c.IPRanges {
		w := whereaboutsRange{Range: s.Range, Exclude: s.Exclude, field: fmt.Sprintf("%s.ipRanges[%d]", field, i)}
		if s.Start != nil {
			w.Start = s.Start.String()
		}
		if s.End != nil {
			w.End = s.End.String()
		}
		all = append(all, w)
	}
	for i := range all {
		all[i].sliced = c.NodeSliceSize != ""
	}
	return all
}

// onePoolEach finds ranges of one CIDR: whereabouts keeps their allocations in
// one object, whose name is made of the CIDR, takes a pod's address in the first
// range for its address in the second too, and the second cannot be added.
func (r *reader) onePoolEach(ranges []whereaboutsRange) {
	first := map[netip.Prefix]string{}
	for _, w := range ranges {
		if !w.network.IsValid() {
			continue
		}
		if other, ok := first[w.network]; ok {
			r.add(IPAMMalformed, w.field+".range", "no pod starts: whereabouts allocates from %s here and in %s.range in one list and gives a pod the same address twice; write one range from the first to the last address, and \"exclude\" what lies between", w.network, other)
			continue
		}
		first[w.network] = w.field
	}
}

// whereaboutsRange works out what a range hands out: the network without its
// first and last address, within the bounds, without the exclusions.
func (r *reader) whereaboutsRange(w *whereaboutsRange) {
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
	pool := Pool{Field: field, Network: w.network, sliced: w.sliced, Ranges: Subtract([]Range{usable}, r.exclusions(w))}
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
	w.Start, w.End, w.dashed = start.String(), last.Addr().String(), true
	return nil
}

// bound moves one end of the usable range to the written bound. Whereabouts
// silently ignores a bound outside the range.
func (r *reader) bound(w *whereaboutsRange, key, text string, usable *Range, end *netip.Addr) {
	if text == "" {
		return
	}
	field := w.field + "." + key
	if w.dashed {
		field = w.field + ".range"
	}
	a, err := parseSloppyAddr(text)
	whole := RangeOf(w.network)
	switch {
	case err != nil:
		r.add(SettingIgnored, field, "whereabouts ignores this because %v, and hands out %s", err, usable)
	case w.sliced:
		r.add(SettingIgnored, field, "if node_slice_size is set, whereabouts cuts all of %s into slices and ignores bounds; write a CIDR without bounds that is reserved as a whole", w.network)
	case usable.Contains(a):
		*end = a
	case a == whole.First && *end == whole.First.Next(), a == whole.Last && *end == whole.Last.Prev():
		// The network's own end, which is never handed out: the same as without.
	default:
		r.add(SettingIgnored, field, "whereabouts ignores this because %s is not in %s, which it hands out", a, usable)
	}
}

func (r *reader) exclusions(w *whereaboutsRange) []Range {
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
			r.add(SettingIgnored, field, "whereabouts ignores this if node_slice_size is set; write a range without these addresses, or remove node_slice_size")
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
