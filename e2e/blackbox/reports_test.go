package blackbox_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// tenure is the time during which one ENI held one address. The end is zero
// while it lasts.
type tenure struct {
	eni        string
	start, end time.Time
}

// history is who held what and when.
type history struct {
	addresses map[netip.Addr][]tenure // in order
	prefixes  map[netip.Prefix]string // ENI by delegated prefix, which never change
}

// history replays the calls that EC2 accepted. A tenure starts when the call
// arrived: it may be a little longer than it was in truth, never shorter.
func (s *scene) history() history {
	h := history{addresses: map[netip.Addr][]tenure{}, prefixes: map[netip.Prefix]string{}}
	for _, e := range s.before {
		for _, prefix := range append(e.IPv4Prefixes, e.IPv6Prefixes...) {
			h.prefixes[prefix] = e.ID
		}
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
		for a := range h.addresses {
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
		h.addresses[a] = append(h.addresses[a], tenure{eni: eni, start: at})
	}
}

func (h history) finish(a netip.Addr, at time.Time) {
	if h.owner(a) != "" {
		list := h.addresses[a]
		list[len(list)-1].end = at
	}
}

func (h history) owner(a netip.Addr) string {
	if list := h.addresses[a]; len(list) > 0 && list[len(list)-1].end.IsZero() {
		return list[len(list)-1].eni
	}
	return ""
}

// held reports whether the ENI held the address at some moment of a period.
func (h history) held(a netip.Addr, eni string, from, to time.Time) bool {
	for _, t := range h.addresses[a] {
		if t.eni == eni && !t.start.After(to) && (t.end.IsZero() || t.end.After(from)) {
			return true
		}
	}
	for prefix, owner := range h.prefixes {
		if owner == eni && prefix.Contains(a) {
			return true
		}
	}
	return false
}

// judge fails the test if the program reported what was not so.
func (s *scene) judge(p *process) {
	s.Helper()
	if p.mode == "ready" || p.code == 2 {
		return
	}
	for _, lie := range s.history().lies(p.records()) {
		s.Errorf("ipmgr %s in %s: %s", p.mode, p.pod.Name, lie)
	}
}

// lies returns the reports of an address as assigned that was not assigned
// between the report and what came before it: the appearance of the address,
// or its loss.
func (h history) lies(log []record) []string {
	var lies []string
	lost := map[string]time.Time{}
	for _, r := range log {
		switch r.Message {
		case "address was lost, claiming it again", "two pods claim this address: remove it from one of them":
			lost[r.Address] = r.Time
		case "address assigned":
			took, err := time.ParseDuration(r.Took)
			addr, errAddr := netip.ParseAddr(r.Address)
			if err != nil || errAddr != nil {
				lies = append(lies, fmt.Sprintf("a report that cannot be read: %+v", r))
				continue
			}
			from := r.Time.Add(-took)
			if lost[r.Address].After(from) {
				from = lost[r.Address]
			}
			if !h.held(addr, r.ENI, from, r.Time) {
				lies = append(lies, fmt.Sprintf("%s was reported as assigned to %s at %v and never was; it was held by %+v", addr, r.ENI, r.Time, h.addresses[addr]))
			}
		}
	}
	return lies
}

func TestReportsAreJudged(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	vip := netip.MustParseAddr("10.10.1.90")
	h := history{
		addresses: map[netip.Addr][]tenure{vip: {{"eni-1", at(10), at(20)}, {"eni-2", at(20), at(30)}, {"eni-1", at(30), time.Time{}}}},
		prefixes:  map[netip.Prefix]string{netip.MustParsePrefix("10.10.1.128/28"): "eni-1"},
	}
	report := func(address, eni string, second int, took string) record {
		return record{Message: "address assigned", Address: address, ENI: eni, Time: at(second), Took: took}
	}
	lost := record{Message: "address was lost, claiming it again", Address: "10.10.1.90", Time: at(25)}
	tests := []struct {
		name string
		log  []record
		lies int
	}{
		{"held since it appeared", []record{report("10.10.1.90", "eni-1", 15, "6s")}, 0},
		{"held and lost since it appeared", []record{report("10.10.1.90", "eni-1", 25, "10s")}, 0},
		{"reported before it was held", []record{report("10.10.1.90", "eni-1", 9, "5s")}, 1},
		{"held before it appeared, and not since", []record{report("10.10.1.90", "eni-1", 28, "3s")}, 1},
		{"held before it was lost, and not since", []record{lost, report("10.10.1.90", "eni-1", 28, "20s")}, 1},
		{"held again after it was lost", []record{lost, report("10.10.1.90", "eni-1", 31, "20s")}, 0},
		{"held by another", []record{report("10.10.1.90", "eni-3", 15, "10s")}, 1},
		{"never held", []record{report("10.10.1.91", "eni-1", 15, "10s")}, 1},
		{"inside a delegated prefix", []record{report("10.10.1.130", "eni-1", 15, "10s")}, 0},
		{"inside the prefix of another", []record{report("10.10.1.130", "eni-2", 15, "10s")}, 1},
		{"unreadable", []record{report("10.10.1", "eni-1", 15, "10s"), report("10.10.1.90", "eni-1", 15, "soon")}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := h.lies(tt.log); len(got) != tt.lies {
				t.Errorf("%d lies found, want %d: %q", len(got), tt.lies, got)
			}
		})
	}
}
