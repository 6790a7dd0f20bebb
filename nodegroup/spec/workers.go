package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Range is the addresses from First to Last, both included.
type Range struct {
	First, Last netip.Addr
}

// Contains reports whether all of prefix is in the range.
func (r Range) Contains(prefix netip.Prefix) bool {
	first, last := Ends(prefix)
	return r.First.BitLen() == first.BitLen() && !first.Less(r.First) && !r.Last.Less(last)
}

// String is the form that ParseRange reads.
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

// Ends returns the first and the last address of a prefix.
func Ends(prefix netip.Prefix) (first, last netip.Addr) {
	first = prefix.Masked().Addr()
	bytes := first.AsSlice()
	for i := prefix.Bits(); i < first.BitLen(); i++ {
		bytes[i/8] |= 0x80 >> (i % 8)
	}
	last, _ = netip.AddrFromSlice(bytes)
	return first, last
}

// ParseRange reads an IPv4 range, such as 10.10.1.4-10.10.1.31 or 10.10.1.0/27.
func ParseRange(text string) (Range, error) {
	malformed := fmt.Errorf("%q is not an IPv4 range; want 10.10.1.4-10.10.1.31 or 10.10.1.0/27", text)
	if from, to, ok := strings.Cut(text, "-"); ok {
		first, err1 := netip.ParseAddr(strings.TrimSpace(from))
		last, err2 := netip.ParseAddr(strings.TrimSpace(to))
		switch {
		case err1 != nil, err2 != nil, !first.Is4(), !last.Is4():
			return Range{}, malformed
		case last.Less(first):
			return Range{}, fmt.Errorf("%q ends before it begins", text)
		}
		return Range{first, last}, nil
	}
	prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
	switch {
	case err != nil, !prefix.Addr().Is4():
		return Range{}, malformed
	case prefix != prefix.Masked():
		return Range{}, fmt.Errorf("%s has host bits set; did you mean %s?", prefix, prefix.Masked())
	}
	first, last := Ends(prefix)
	return Range{first, last}, nil
}

// Workers are the ranges for the primary addresses of workers: one for all
// subnets, or one for each. In JSON it is a string or an object.
type Workers struct {
	all       string
	bySubnet  map[string]string
	malformed error // what UnmarshalJSON got was neither
}

// AllSubnets returns the Workers that are one range, whatever the subnet.
func AllSubnets(text string) Workers { return Workers{all: text} }

// PerSubnet returns the Workers with a range for each subnet.
func PerSubnet(ranges map[string]string) Workers { return Workers{bySubnet: ranges} }

// IsZero reports whether no range is set.
func (w Workers) IsZero() bool { return w.all == "" && len(w.bySubnet) == 0 && w.malformed == nil }

// In returns the range for a subnet. It is false where none is set for it, so
// that the whole subnet counts.
func (w Workers) In(subnet string) (Range, bool) {
	text := w.all
	if of, ok := w.bySubnet[subnet]; ok {
		text = of
	}
	if text == "" {
		return Range{}, false
	}
	r, err := ParseRange(text)
	return r, err == nil
}

// UnmarshalJSON takes a string or an object of strings. What is neither is
// reported by Validate, with all other mistakes.
func (w *Workers) UnmarshalJSON(data []byte) error {
	*w = Workers{}
	if json.Unmarshal(data, &w.all) == nil {
		return nil
	}
	w.all = ""
	if json.Unmarshal(data, &w.bySubnet) != nil {
		*w = Workers{malformed: errors.New("want a range, or an object with a range for each subnet")}
	}
	return nil
}

// MarshalJSON is the reverse of UnmarshalJSON.
func (w Workers) MarshalJSON() ([]byte, error) {
	if w.bySubnet != nil {
		return json.Marshal(w.bySubnet)
	}
	return json.Marshal(w.all)
}

// mistakes lists what is wrong with the ranges.
func (w Workers) mistakes(subnets []string) []error {
	if w.malformed != nil {
		return []error{w.malformed}
	}
	var errs []error
	if w.all != "" {
		if _, err := ParseRange(w.all); err != nil {
			errs = append(errs, err)
		}
	}
	for _, subnet := range slices.Sorted(maps.Keys(w.bySubnet)) {
		if !slices.Contains(subnets, subnet) {
			errs = append(errs, fmt.Errorf("%s is not one of the network's subnets", subnet))
		}
		if _, err := ParseRange(w.bySubnet[subnet]); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
