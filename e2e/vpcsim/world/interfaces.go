package world

import (
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
	// Token makes the request idempotent; nil when there is none.
	Token *string
}

// CreateENI creates an ENI. A repeated token returns the ENI that the first
// request created, with the tags of the repeat. EC2 looks at subnet, addresses
// and ids before it looks at the token: a repeat that names its addresses finds
// them in use.
func (w *World) CreateENI(r CreateENI) (*ENI, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.checkNamed(r); err != nil {
		w.refused(r, err)
		return nil, err
	}
	first, err := w.repeated(r)
	if err != nil || first != nil {
		return first, err
	}
	if err := w.checkQuota(); err != nil {
		return nil, err
	}
	e, err := w.draft(r)
	if err != nil {
		return nil, err
	}
	w.put(e)
	w.remember(r, e.ID)
	return e, nil
}

// checkQuota refuses one ENI more than the account may have.
func (w *World) checkQuota() error {
	s := w.settings.Get()
	if s.ENIQuota == 0 {
		return nil
	}
	n := 0
	for _, h := range w.enis.value {
		if h.Latest() != nil {
			n++
		}
	}
	if n >= s.ENIQuota {
		return errQuota(s.ENIQuotaCode, s.ENIQuota)
	}
	return nil
}

// checkNamed makes the checks of what a request names, without choosing
// anything.
func (w *World) checkNamed(r CreateENI) error {
	if r.Subnet == "" {
		return apierr.Missing("subnetId")
	}
	if _, err := w.subnet(r.Subnet); err != nil {
		return err
	}
	if err := checkDescription(r.Description); err != nil {
		return err
	}
	if err := w.checkGroups(r.Groups, r.Subnet, true); err != nil {
		return err
	}
	e := &ENI{Subnet: r.Subnet}
	if r.Primary != "" {
		a, err := w.unused(r.Primary, e, false)
		if err != nil {
			return err
		}
		e.Primary = a
	}
	for _, text := range r.IPv4.Addresses {
		a, err := w.unused(text, e, false)
		if err != nil {
			return err
		}
		e.Secondaries = append(e.Secondaries, a)
	}
	for _, text := range r.IPv6.Addresses {
		a, err := w.unused(text, e, true)
		if err != nil {
			return err
		}
		e.IPv6 = append(e.IPv6, a)
	}
	return nil
}

// draft builds the ENI without storing it. What r names has been checked.
func (w *World) draft(r CreateENI) (*ENI, error) {
	e := &ENI{
		ID: w.newID("eni"), Subnet: r.Subnet, Description: r.Description, Owner: w.Account,
		Tags: maps.Clone(r.Tags), Groups: slices.Clone(r.Groups), SourceDestCheck: true, PrimaryIPv6: r.PrimaryIPv6, Type: "interface",
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
	if !w.subnets.value[e.Subnet].CIDR.IsValid() {
		return nil // IPv6 only
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
	n := r.IPv6.Count
	if native := !w.subnets.value[e.Subnet].CIDR.IsValid(); native && !w.asked(r.IPv6) {
		n = new(1) // in a subnet with IPv6 only it has an address without asking
	}
	if n != nil {
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
