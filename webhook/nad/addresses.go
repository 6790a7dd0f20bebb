package nad

import (
	"fmt"
	"net/netip"
	"slices"
)

// Addresses returns the addresses of which the interface of a pod may get any,
// and reports whether these are all. What the pod asks for counts only where
// the IPAM plugin obeys it: pools and zones of a pod follow from this.
func (n Network) Addresses(s Selection) (ranges []Range, all bool) {
	if !s.Asks() {
		return n.Ranges(), n.Readable()
	}
	a := n.answer("", s)
	return Union(a.ranges), a.all
}

// answer is the plugins' answer to the addresses that a pod asks for.
type answer struct {
	given  []wish  // what was asked for and is obeyed
	ranges []Range // all that the interface may get, given among it
	all    bool
	findings
}

// wish is one address that a pod asks for.
type wish struct {
	field  string // "[0].ips[1]" behind the annotation
	prefix netip.Prefix
}

// answer judges what the pod asks for as the IPAM plugins do. field is where
// the selection is.
func (n Network) answer(field string, s Selection) answer {
	a := answer{all: n.Readable()}
	ipams := 0
	for _, p := range n.Plugins {
		if p.IPAM.Type != "" {
			ipams++
			a.plugin(n.Object, p, field, s)
		}
	}
	if ipams > 0 {
		return a
	}
	// It is unknown which plugin reads it, or the application does.
	a.take(wishes(field+".ips", s.Texts))
	a.take(wishes(field+".cni-args.ips", s.Args.IPs))
	if len(n.Plugins) > 0 && len(s.IPs) > 0 {
		a.add(IPsIgnored, field+".ips", "%s has no IPAM plugin that would give the pod these addresses; use a NAD with IPAM static and \"capabilities\": {\"ips\": true}, or let the application add them", n.Object)
	}
	return a
}

func (a *answer) plugin(object string, p PluginConfig, field string, s Selection) {
	if len(s.IPs) > 0 && !p.TakesIPs && p.IPAM.Type != "whereabouts" {
		a.add(IPsIgnored, field+".ips", "Multus does not pass this on, because %s does not have \"capabilities\": {\"ips\": true} next to its plugin's type", object)
		s.IPs, s.Texts = nil, nil
	}
	if p.IPAM.unread { // so it is not known what it makes of this
		p.IPAM.Type = ""
	}
	switch p.IPAM.Type {
	case "whereabouts":
		a.ignored(field, s)
		a.ranges = append(a.ranges, p.IPAM.ranges()...)
	case "static":
		a.static(object, p.IPAM, field, s, p.TakesIPs)
	case "host-local":
		a.hostLocal(p.IPAM, field, s)
	default: // it may obey them
		a.take(wishes(field+".ips", s.Texts))
		a.take(wishes(field+".cni-args.ips", s.Args.IPs))
	}
}

// ignored reports that whereabouts ignores what a pod asks for.
func (a *answer) ignored(field string, s Selection) {
	const text = "whereabouts gives the pod an address of its own choice and ignores this; use a NAD with IPAM static and \"capabilities\": {\"ips\": true}"
	if len(s.IPs) > 0 {
		a.add(IPsIgnored, field+".ips", text)
	}
	if len(s.Args.IPs) > 0 || s.Args.Malformed != "" {
		a.add(IPsIgnored, field+".cni-args.ips", text)
	}
}

// static gives what runtimeConfig says, else what args say, else the addresses
// of the NAD. asks: pods may ask by "ips".
func (a *answer) static(object string, i IPAM, field string, s Selection, asks bool) {
	args := len(s.Args.IPs) > 0 || s.Args.Malformed != ""
	switch {
	case s.Args.Malformed != "":
		a.add(IPAMMalformed, field+".cni-args.ips", "static refuses this: it %s", s.Args.Malformed)
	case len(s.IPs) > 0:
		if args {
			a.add(IPsIgnored, field+".cni-args.ips", "static gives the pod the addresses of \"ips\" and ignores these; remove one of the two")
		}
		a.strict(i, field+".ips", s.Texts)
	case args && i.fixed:
		a.add(IPsIgnored, field+".cni-args.ips", "static gives every pod the addresses in runtimeConfig.ips of %s and ignores these", object)
		a.ranges = append(a.ranges, i.ranges()...)
	case args:
		a.strict(i, field+".cni-args.ips", s.Args.IPs)
	case len(i.Pools) == 0 && !asks:
		a.add(RangeEmpty, field, "%s has no address for its pods, so this pod will not start; add addresses to it, or \"capabilities\": {\"ips\": true} next to its plugin's type", object)
	case len(i.Pools) == 0:
		a.add(RangeEmpty, field, "%s gives a pod only the addresses that it asks for, and this pod asks for none, so it will not start; add \"ips\": [\"<address>/<length of the subnet>\"]", object)
	default:
		a.ranges = append(a.ranges, i.ranges()...)
	}
}

// strict takes addresses that static reads: each needs a length.
func (a *answer) strict(i IPAM, field string, texts []string) {
	list := wishes(field, texts)
	var addrs []netip.Addr
	for _, w := range list {
		if w.prefix.IsValid() {
			addrs = append(addrs, w.prefix.Addr())
		}
	}
	a.single(i.version, field, addrs)
	for j, text := range texts {
		_, err := parseCIDR(text)
		if addr, errAddr := parseAddr(text); errAddr == nil {
			err = fmt.Errorf("%s has no prefix length; write the subnet's, such as %s/24", addr, addr)
		}
		if err != nil {
			a.add(IPAMMalformed, fmt.Sprintf("%s[%d]", field, j), "static refuses this: %v", err)
		}
	}
	a.take(list)
}

// hostLocal gives one address of each set: the one that is asked for, else any.
// It refuses what is in no set, and a second one in a set.
func (a *answer) hostLocal(i IPAM, field string, s Selection) {
	if s.Args.Malformed != "" {
		a.add(IPAMMalformed, field+".cni-args.ips", "host-local refuses this: it %s", s.Args.Malformed)
	}
	asked := i.args
	if s.Args.Given {
		asked = wishes(field+".cni-args.ips", s.Args.IPs)
	}
	if len(s.Texts) > 0 {
		asked = slices.Concat(asked, wishes(field+".ips", s.Texts))
	} else {
		asked = slices.Concat(asked, i.runtime)
	}
	given, ranges := a.findings.place(i.Pools, asked)
	a.given, a.ranges = append(a.given, given...), append(a.ranges, ranges...)
}

// place gives each set of host-local's ranges the address that is asked for in
// it, and returns these and all that may be handed out.
func (l *findings) place(pools []Pool, asked []wish) (given []wish, ranges []Range) {
	taken := map[int]wish{}
	for _, w := range asked {
		at := slices.IndexFunc(pools, func(p Pool) bool { return p.holds(w.prefix.Addr()) })
		switch {
		case !w.prefix.IsValid():
			l.add(IPAMMalformed, w.field, "host-local refuses this: it is not an address")
		case at < 0:
			l.add(IPAMMalformed, w.field, "host-local refuses this: %s is in none of its ranges, or is a gateway; ask for an address that it hands out: %s", w.prefix.Addr(), joined(IPAM{Pools: pools}.ranges()))
		case taken[pools[at].set].prefix.IsValid() && taken[pools[at].set].prefix.Addr() != w.prefix.Addr():
			l.add(IPAMMalformed, w.field, "host-local refuses this: it gives one address of each set of ranges, and %s is of the same set", taken[pools[at].set].prefix.Addr())
		case !taken[pools[at].set].prefix.IsValid():
			// The length that the pod writes means nothing: the subnet's counts.
			w.prefix = netip.PrefixFrom(w.prefix.Addr(), pools[at].Network.Bits())
			taken[pools[at].set], given = w, append(given, w)
			ranges = append(ranges, Range{w.prefix.Addr(), w.prefix.Addr()})
		}
	}
	for _, p := range pools {
		if !taken[p.set].prefix.IsValid() {
			ranges = append(ranges, p.Ranges...)
		}
	}
	return given, ranges
}

// holds reports whether the pool hands the address out.
func (p Pool) holds(addr netip.Addr) bool {
	return Range{addr, addr}.among(p.Ranges)
}

// take adds what the pod asks for and gets.
func (a *answer) take(list []wish) {
	for _, w := range list {
		if w.prefix.IsValid() {
			a.given = append(a.given, w)
			a.ranges = append(a.ranges, Range{w.prefix.Addr(), w.prefix.Addr()})
		}
	}
}

// wishes reads addresses with or without a length. Those that cannot be read
// have the zero prefix.
func wishes(field string, texts []string) []wish {
	list := make([]wish, len(texts))
	for i, text := range texts {
		list[i].field = fmt.Sprintf("%s[%d]", field, i)
		list[i].prefix, _ = parseIP(text)
	}
	return list
}
