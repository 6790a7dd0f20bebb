package world

import (
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// Assign asks for addresses or prefixes of one family on an ENI: exactly one
// of the four ways. Addresses and prefixes are the caller's text, since the
// refusals quote it.
type Assign struct {
	ENI         string
	Addresses   []string
	Count       *int
	Prefixes    []string
	PrefixCount *int
	// AllowReassignment lets secondary IPv4 addresses be taken from other ENIs.
	AllowReassignment bool
}

// Unassign takes addresses and prefixes of one family off an ENI.
type Unassign struct {
	ENI       string
	Addresses []string
	Prefixes  []string
}

// Assigned is what a request has put on the ENI, or taken off.
type Assigned struct {
	Addresses []netip.Addr
	Prefixes  []netip.Prefix
}

// wording is how the two families differ in the refusals of a request's shape.
type wording struct{ none, combination, count, prefixCount string }

func wordingOf(v6 bool) wording {
	if v6 { // AWS's texts are unknown; these follow the IPv4 ones
		return wording{
			none: "One of ipv6Addresses or ipv6AddressCount or ipv6Prefixes or ipv6PrefixCount must be specified.",
			combination: "You may specify one and only one of ipv6Addresses or ipv6AddressCount or " +
				"ipv6Prefixes or ipv6PrefixCount, but not more than one of them.",
			count: "ipv6AddressCount", prefixCount: "ipv6PrefixCount",
		}
	}
	return wording{
		none: "One of privateIpAddressSet or privateIpAddressCount or ipv4PrefixSet or ipv4PrefixCount must be specified.",
		combination: "You may specify one and only one of privateIpAddressSet or secondaryPrivateIpAddressCount or " +
			"ipv4Prefixes or ipv4PrefixCount, but not more than one of them.",
		count: "secondaryPrivateIpAddressCount", prefixCount: "ipv4PrefixCount",
	}
}

// shape checks that r asks for something in exactly one way.
func (r Assign) shape(v6 bool) error {
	words, ways := wordingOf(v6), 0
	for _, given := range []bool{len(r.Addresses) > 0, r.Count != nil, len(r.Prefixes) > 0, r.PrefixCount != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		return apierr.New("InvalidParameter", "%s", words.none)
	case ways > 1:
		return apierr.New("InvalidParameterCombination", "%s", words.combination)
	case r.Count != nil && *r.Count < 1:
		return errNotPositive(*r.Count, words.count)
	case r.PrefixCount != nil && *r.PrefixCount < 1:
		return errNotPositive(*r.PrefixCount, words.prefixCount)
	}
	return nil
}

// parseAddr reads an address of one family.
func parseAddr(text string, v6 bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4() == v6 || a.Is4In6() {
		return netip.Addr{}, errUnparsable(text)
	}
	return a, nil
}

// parsePrefixes reads delegated prefixes, which have one size in each family.
func parsePrefixes(texts []string, v6 bool) ([]netip.Prefix, error) {
	bits, name := topology.IPv4PrefixBits, "ipv4Prefix"
	if v6 {
		bits, name = topology.IPv6PrefixBits, "ipv6Prefix"
	}
	var out []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4() == v6 || p.Addr().Is4In6() || p.Bits() != bits || p != p.Masked() {
			return nil, apierr.Value("Value (%s) for parameter %s is invalid. The prefix must be a /%d block.", text, name, bits)
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

// limit returns how many address slots of one family an ENI has.
func (w *World) limit(e *ENI) int {
	if e.Attachment != nil {
		in, _ := w.instance(e.Attachment.Instance) // that of a service has no type
		if l, ok := w.Limits(in.Type); ok {
			return l.IPv4PerInterface // AWS documents the IPv6 figure as the same
		}
	}
	if n := w.settings.Get().UnattachedLimit; n > 0 {
		return n
	}
	return topology.LargestLimit()
}

// fits refuses when adding slots of one family exceeds the ENI's limit.
func (w *World) fits(e *ENI, add int, v6 bool) error {
	if e.slots(v6)+add <= w.limit(e) {
		return nil
	}
	if v6 {
		return errTooMany(w.settings.Get().IPv6LimitCode)
	}
	return errTooMany("PrivateIpAddressLimitExceeded")
}

// begin finds the ENI of a request that changes addresses and checks that the
// caller may change it.
func (w *World) begin(id string) (*ENI, error) {
	e, err := w.find(id)
	if err != nil {
		return nil, err
	}
	if err := w.mayManage(e); err != nil {
		return nil, err
	}
	if !w.tagged(e) {
		return nil, errDenied()
	}
	return e, nil
}

// mayManage refuses changes of ENIs that an AWS service manages. The code is
// that of deleting one; those of other changes are unknown.
func (w *World) mayManage(e *ENI) error {
	if e.Requester != "" {
		return apierr.New("OperationNotPermitted", "You do not have permission to access the specified resource.")
	}
	return nil
}

// tagged reports whether an ENI satisfies the IAM condition of the settings.
func (w *World) tagged(e *ENI) bool {
	key, value, exact := cutTag(w.settings.Get().RequireTag)
	have, ok := e.Tags[key]
	return key == "" || ok && (!exact || have == value)
}
