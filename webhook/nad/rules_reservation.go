package nad

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// mostCommands limits the commands that one message lists.
const mostCommands = 8

// addresses checks that EC2 leaves the addresses to pods.
func (c Checker) addresses(found *findings, kind string, p Pool) {
	if !c.known {
		return
	}
	kept := c.awsReserved(found, kind, p)
	delegated := c.prefixReserved(found, p)
	c.notReserved(found, p, slices.Concat(kept, delegated))
}

// notReserved finds addresses that EC2 may give to any other interface.
// Those in elsewhere have a finding of their own.
func (c Checker) notReserved(found *findings, p Pool, elsewhere []Range) {
	covered := slices.Clone(elsewhere)
	for _, r := range Union(p.Ranges) { // not all reservations, for each pool of each NAD
		covered = append(covered, r.of(c.ground().explicit)...)
	}
	missing := Subtract(p.Ranges, covered)
	if len(missing) == 0 {
		return
	}
	what := joined(missing)
	if whole := Union(p.Ranges); !slices.Equal(missing, whole) {
		what += " (of " + joined(whole) + ")"
	}
	found.add(NotReserved, p.Field, "no explicit subnet CIDR reservation covers %s, so EC2 may give it to another interface; %s", what, c.reserve(p, missing))
}

// reserve says how to reserve the ranges.
func (c Checker) reserve(p Pool, missing []Range) string {
	var commands []string
	strangers := false
	for _, cidr := range c.reservable(p, missing) {
		s, ok := c.subnetOf([]Range{RangeOf(cidr)})
		strangers = strangers || !ok
		if !ok || s.id == "" {
			s.id = "<subnet-id>"
		}
		commands = append(commands, fmt.Sprintf("aws ec2 create-subnet-cidr-reservation --subnet-id %s --cidr %s --reservation-type explicit", s.id, cidr))
	}
	more := ""
	if len(commands) > mostCommands {
		more = fmt.Sprintf(" (and %d more; ranges that begin and end at powers of two need fewer)", len(commands)-mostCommands)
		commands = commands[:mostCommands]
	}
	text := "reserve it: " + strings.Join(commands, " && ") + more
	if strangers && len(c.ground().subnets) > 0 {
		text += fmt.Sprintf("; is the range right? It is not in any known subnet: %s", joined(c.ground().subnets))
	}
	return text
}

// reservable returns the fewest CIDRs for the missing addresses. The first and
// last address of the pool's own network are taken in where they save CIDRs
// and are free: they are never handed out.
func (c Checker) reservable(p Pool, missing []Range) []netip.Prefix {
	network := RangeOf(p.Network)
	wider := slices.Clone(missing)
	for _, end := range []netip.Addr{network.First, network.Last} {
		alone := Range{end, end}
		if p.Network.Addr().IsValid() && !alone.among(c.ground().taken) {
			wider = append(wider, alone)
		}
	}
	// Only what touches a missing range is wanted, not an end by itself.
	var best []netip.Prefix
	for _, r := range Union(wider) {
		inside := 0 // missing ranges, which are sorted and lie within the wider ones
		for inside < len(missing) && missing[inside].First.Compare(r.Last) <= 0 {
			inside++
		}
		if inside == 0 {
			continue
		}
		exact, rounded := prefixes(missing[:inside]), r.Prefixes()
		missing = missing[inside:]
		if len(rounded) < len(exact) {
			exact = rounded
		}
		best = append(best, exact...)
	}
	return best
}

func prefixes(ranges []Range) []netip.Prefix {
	var all []netip.Prefix
	for _, r := range ranges {
		all = append(all, r.Prefixes()...)
	}
	return all
}

// awsReserved finds addresses that AWS keeps in every subnet, and returns them.
func (c Checker) awsReserved(found *findings, kind string, p Pool) []Range {
	var all []Range
	for _, s := range touching(c.ground().home, p.Ranges) {
		var kept []Range
		for _, r := range s.reserved() {
			kept = append(kept, r.of(p.Ranges)...)
		}
		if kept = Union(kept); len(kept) == 0 {
			continue
		}
		found.add(AWSReserved, p.Field, "%s is reserved by AWS, like the first four addresses and the last one of every subnet (%s), and EC2 refuses to assign it; %s", joined(kept), s, avoid(kind, p, kept))
		all = append(all, kept...)
	}
	return all
}

// prefixReserved finds addresses that EC2 delegates in prefixes, and returns
// them.
func (c Checker) prefixReserved(found *findings, p Pool) []Range {
	var all []Range
	for _, r := range touching(c.ground().delegated, p.Ranges) {
		shared := RangeOf(r.CIDR).of(p.Ranges)
		where := r.CIDR.String()
		if r.SubnetID != "" {
			where += " of " + r.SubnetID
		}
		found.add(PrefixReservation, p.Field, "%s is in the reservation %s, of type prefix, from which EC2 delegates whole prefixes to ENIs; use addresses of an explicit reservation", joined(shared), where)
		all = append(all, shared...)
	}
	return all
}

// nothingKnown says that nothing was checked, because silence would look like
// success.
func (c Checker) nothingKnown(found *findings, field string) {
	if !c.known {
		found.add(NoReservation, field, "no subnet CIDR reservation is known, so it is not checked whether EC2 leaves the addresses to pods; reserve them (aws ec2 create-subnet-cidr-reservation) and list the reservations as ReservedCIDR objects")
	}
}

// avoid says how to leave addresses out.
func avoid(kind string, p Pool, unwanted []Range) string {
	switch {
	case p.sliced:
		return "choose a range without it: with node_slice_size whereabouts ignores exclude and bounds"
	case kind == "whereabouts":
		var quoted []string
		for _, p := range prefixes(unwanted) {
			quoted = append(quoted, fmt.Sprintf("%q", p))
		}
		return "leave it out: \"exclude\": [" + strings.Join(quoted, ", ") + "]"
	case kind == "host-local":
		return "leave it out by rangeStart and rangeEnd"
	default:
		return "choose another address"
	}
}

// lengthRemedy says how to give addresses the subnet's prefix length.
func lengthRemedy(kind string, p Pool, s subnet) string {
	first, last := p.Ranges[0].First, p.Ranges[len(p.Ranges)-1].Last
	switch {
	case p.sliced:
		return "node slices always have the range's length, and take all of it: remove node_slice_size and write \"range\": " + fmt.Sprintf("\"%s-%s/%d\"", first, last, s.cidr.Bits())
	case kind == "whereabouts":
		return fmt.Sprintf("write \"range\": \"%s-%s/%d\"", first, last, s.cidr.Bits())
	case kind == "host-local":
		return fmt.Sprintf("write \"subnet\": %q, \"rangeStart\": %q, \"rangeEnd\": %q", s.cidr, first, last)
	default:
		return fmt.Sprintf("write \"%s/%d\"", first, s.cidr.Bits())
	}
}
