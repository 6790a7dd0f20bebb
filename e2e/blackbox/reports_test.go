package blackbox_test

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// tenure is the time during which one ENI held one address. The end is zero
// while it lasts.
type tenure struct {
	eni        string
	start, end time.Time
}

// history is the tenures of each address, in order.
type history map[netip.Addr][]tenure

// history replays the calls that EC2 accepted. A tenure starts when the call
// arrived: it may be a little longer than it was in truth, never shorter.
func (s *scene) history() history {
	h := history{}
	for _, e := range s.before {
		for _, a := range append(append([]netip.Addr{e.Primary}, e.Secondaries...), e.IPv6...) {
			h.begin(a, e.ID, time.Time{})
		}
	}
	for _, c := range s.calls() {
		if c.Result == "ok" {
			h.apply(c)
		}
	}
	return h
}

func (h history) apply(c vpcsim.Call) {
	eni := c.Params["NetworkInterfaceId"]
	for _, a := range parameters(c, "PrivateIpAddress.", "Ipv6Addresses.") {
		switch {
		case strings.HasPrefix(c.Action, "Assign"):
			h.begin(a, eni, c.At)
		case strings.HasPrefix(c.Action, "Unassign"):
			h.finish(a, c.At)
		}
	}
	if c.Action == "DeleteNetworkInterface" {
		for a := range h {
			if h.owner(a) == eni {
				h.finish(a, c.At)
			}
		}
	}
}

// parameters returns the addresses in the parameters with one of the prefixes
// and a number.
func parameters(c vpcsim.Call, prefixes ...string) []netip.Addr {
	var list []netip.Addr
	for name, value := range c.Params {
		for _, prefix := range prefixes {
			if number, ok := strings.CutPrefix(name, prefix); ok {
				if _, err := strconv.Atoi(number); err == nil {
					list = append(list, netip.MustParseAddr(value))
				}
			}
		}
	}
	return list
}

func (h history) begin(a netip.Addr, eni string, at time.Time) {
	if h.owner(a) != eni {
		h.finish(a, at)
		h[a] = append(h[a], tenure{eni: eni, start: at})
	}
}

func (h history) finish(a netip.Addr, at time.Time) {
	if h.owner(a) != "" {
		h[a][len(h[a])-1].end = at
	}
}

func (h history) owner(a netip.Addr) string {
	if n := len(h[a]); n > 0 && h[a][n-1].end.IsZero() {
		return h[a][n-1].eni
	}
	return ""
}

// held reports whether the ENI held the address at some moment of a period.
func (h history) held(a netip.Addr, eni string, from, to time.Time) bool {
	for _, t := range h[a] {
		if t.eni == eni && !t.start.After(to) && (t.end.IsZero() || t.end.After(from)) {
			return true
		}
	}
	return false
}

// judge fails the test if the program reported an address as assigned that was
// not assigned between the report and what came before it: the appearance of
// the address, or its loss.
func (s *scene) judge(p *process) {
	if p.mode == "ready" || p.code == 2 {
		return
	}
	h := s.history()
	lost := map[string]time.Time{}
	for _, r := range p.records() {
		switch r.Message {
		case "address was lost, claiming it again", "two pods claim this address: remove it from one of them":
			lost[r.Address] = r.Time
		case "address assigned":
			took, err := time.ParseDuration(r.Took)
			addr, errAddr := netip.ParseAddr(r.Address)
			if err != nil || errAddr != nil {
				s.Errorf("a report that cannot be read: %+v", r)
				continue
			}
			from := r.Time.Add(-took)
			if lost[r.Address].After(from) {
				from = lost[r.Address]
			}
			if !h.held(addr, r.ENI, from, r.Time) && !s.delegated(addr, r.ENI) {
				s.Errorf("reported as assigned to %s but never was: %s in pod %s; it was held by %+v", r.ENI, r.Address, p.pod.Name, h[addr])
			}
		}
	}
}

// delegated: the address lies in a prefix that the ENI holds.
func (s *scene) delegated(a netip.Addr, eni string) bool {
	for _, e := range s.before {
		for _, prefix := range append(e.IPv4Prefixes, e.IPv6Prefixes...) {
			if e.ID == eni && prefix.Contains(a) {
				return true
			}
		}
	}
	return false
}
