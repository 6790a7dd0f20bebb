package world

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// CreateENI asks for a new, unattached ENI. IPv4 and IPv6 say what it holds
// besides its primary address; their ENI and AllowReassignment mean nothing.
type CreateENI struct {
	Subnet, Description string
	// Primary is "" when EC2 shall choose.
	Primary     string
	IPv4, IPv6  Assign
	PrimaryIPv6 bool
	Groups      []string
	Tags        map[string]string
	// Token makes the request idempotent when it is not "".
	Token string
}

// creation is what a client token stands for.
type creation struct{ request, eni string }

// CreateENI creates an ENI. A repeated token returns the ENI that the first
// request created.
func (w *World) CreateENI(r CreateENI) (*ENI, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	request := fmt.Sprintf("%+v", fingerprint(r))
	if first, again := w.created[r.Token]; again && r.Token != "" {
		if first.request != request {
			return nil, apierr.New("IdempotentParameterMismatch",
				"The client token has already been used with different parameters: %s", r.Token)
		}
		return w.find(first.eni)
	}
	e, err := w.draft(r)
	if err != nil {
		return nil, err
	}
	w.put(e)
	if r.Token != "" {
		w.created[r.Token] = creation{request, e.ID}
	}
	return e, nil
}

// fingerprint is r with its counts as values, since pointers tell requests
// apart that are the same.
func fingerprint(r CreateENI) []any {
	counts := []any{}
	for _, n := range []*int{r.IPv4.Count, r.IPv4.PrefixCount, r.IPv6.Count, r.IPv6.PrefixCount} {
		if n == nil {
			counts = append(counts, "-")
			continue
		}
		counts = append(counts, *n)
	}
	r.IPv4.Count, r.IPv4.PrefixCount, r.IPv6.Count, r.IPv6.PrefixCount = nil, nil, nil, nil
	return append(counts, r)
}

// draft builds the ENI without storing it.
func (w *World) draft(r CreateENI) (*ENI, error) {
	if r.Subnet == "" {
		return nil, apierr.Missing("subnetId")
	}
	if _, err := w.subnet(r.Subnet); err != nil {
		return nil, err
	}
	e := &ENI{
		ID: w.newID("eni"), Subnet: r.Subnet, Description: r.Description, Owner: w.Account,
		Tags: maps.Clone(r.Tags), Groups: slices.Clone(r.Groups), SourceDestCheck: true, PrimaryIPv6: r.PrimaryIPv6,
	}
	e.MAC = topology.MACFor(e.ID)
	if len(e.Groups) == 0 {
		e.Groups = []string{topology.DefaultGroup}
	}
	for _, step := range []func(*ENI, CreateENI) error{w.draftPrimary, w.draftIPv4, w.draftIPv6} {
		if err := step(e, r); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (w *World) draftPrimary(e *ENI, r CreateENI) error {
	if r.Primary != "" {
		a, err := w.unused(r.Primary, e, false)
		e.Primary = a
		return err
	}
	named, err := parseAll(r.IPv4.Addresses, false) // those are taken, though nothing holds them yet
	if err != nil {
		return err
	}
	picked, err := w.pickIPv4(e.Subnet, 1, named)
	if err != nil {
		return err
	}
	e.Primary = picked[0]
	return nil
}

func (w *World) draftIPv4(e *ENI, r CreateENI) (err error) {
	if w.asked(r.IPv4) {
		if err := r.IPv4.shape(false); err != nil {
			return err
		}
	}
	for _, text := range r.IPv4.Addresses {
		a, err := w.unused(text, e, false)
		if err != nil {
			return err
		}
		e.Secondaries = append(e.Secondaries, a)
	}
	if n := r.IPv4.Count; n != nil {
		if e.Secondaries, err = w.pickIPv4(e.Subnet, *n, []netip.Addr{e.Primary}); err != nil {
			return err
		}
	}
	if err := w.draftPrefixes(e, r.IPv4, false); err != nil {
		return err
	}
	return w.fits(e, 0, false)
}

func (w *World) draftIPv6(e *ENI, r CreateENI) (err error) {
	if w.asked(r.IPv6) {
		if err := r.IPv6.shape(true); err != nil {
			return err
		}
	}
	for _, text := range r.IPv6.Addresses {
		a, err := w.unused(text, e, true)
		if err != nil {
			return err
		}
		e.IPv6 = append(e.IPv6, a)
	}
	if n := r.IPv6.Count; n != nil {
		if e.IPv6, err = w.pickIPv6(e.Subnet, *n, nil); err != nil {
			return err
		}
	}
	if err := w.draftPrefixes(e, r.IPv6, true); err != nil {
		return err
	}
	return w.fits(e, 0, true)
}

func (w *World) draftPrefixes(e *ENI, r Assign, v6 bool) error {
	prefixes, err := w.usablePrefixes(e, r.Prefixes, v6)
	if err != nil {
		return err
	}
	if r.PrefixCount != nil {
		if prefixes, err = w.pickPrefixes(e, *r.PrefixCount, v6); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(prefixes, e.overlaps) {
		return errAddressInUse()
	}
	e.addPrefixes(prefixes, v6)
	return nil
}

func (w *World) asked(r Assign) bool {
	return len(r.Addresses) > 0 || r.Count != nil || len(r.Prefixes) > 0 || r.PrefixCount != nil
}

// unused parses an address for a new ENI and refuses it when anything, the
// draft itself included, holds it.
func (w *World) unused(text string, e *ENI, v6 bool) (netip.Addr, error) {
	a, err := parseAddr(text, v6)
	if err != nil {
		return a, err
	}
	if cidr := w.cidr(e.Subnet, v6); cidr.IsValid() && cidr.Contains(a) && topology.Reserved(a, cidr) {
		return a, errReservedOnCreate()
	}
	if err := w.inSubnet(a, e.Subnet); err != nil {
		return a, err
	}
	if !w.free(a) || e.Has(a) {
		return a, errAddressInUse()
	}
	return a, nil
}

func parseAll(texts []string, v6 bool) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, text := range texts {
		a, err := parseAddr(text, v6)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}
