package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestRangesHandOutOneAddressOfEach(t *testing.T) {
	const config = `{"ipam": {"type": "whereabouts", "ipRanges": [{"range": "10.10.1.80-10.10.1.81/24"}, {"range": "fd00::80-fd00::8f/64"}]}}`
	r, err := newRanges(config, netip.MustParseAddr("10.10.12.21"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{
		{"10.10.1.80/24", "fd00::80/64", "10.10.12.21/24"},
		{"10.10.1.81/24", "fd00::81/64", "10.10.12.22/24"},
	} {
		net1, eth0, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range append(net1, eth0) {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
	}
	if _, _, err := r.next(); err == nil || !strings.Contains(err.Error(), "10.10.1.81 is used up") {
		t.Errorf("third pod: %v, want a range that is used up", err)
	}
}

func TestBadRangesAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ config, want string }{
		"no JSON":              {`{`, "CNI configuration"},
		"another IPAM plugin":  {`{"ipam": {"type": "static"}}`, "want ipRanges"},
		"a range without end":  {`{"ipam": {"type": "whereabouts", "ipRanges": [{"range": "10.10.1.80"}]}}`, `range "10.10.1.80"`},
		"a range that is none": {`{"ipam": {"type": "whereabouts", "ipRanges": [{"range": "a-b/24"}]}}`, `range "a-b/24"`},
		"a range backwards":    {`{"ipam": {"type": "whereabouts", "ipRanges": [{"range": "10.10.1.9-10.10.1.8/24"}]}}`, "does not follow"},
		"two families":         {`{"ipam": {"type": "whereabouts", "ipRanges": [{"range": "10.10.1.9-fd00::1/64"}]}}`, "does not follow"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newRanges(test.config, netip.Addr{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("newRanges: %v, want %q", err, test.want)
			}
		})
	}
}

func TestLastAddressOfAFamilyEndsItsRange(t *testing.T) {
	got, err := parseRange("255.255.255.255-255.255.255.255/24")
	if err != nil {
		t.Fatal(err)
	}
	last := netip.MustParseAddr("255.255.255.255")
	want := addressRange{next: last, last: last, bits: 24}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(addressRange{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("range (-want +got):\n%s", diff)
	}
}
