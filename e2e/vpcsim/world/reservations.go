package world

import (
	"maps"
	"net/netip"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// Reserve asks for a subnet CIDR reservation.
type Reserve struct {
	Subnet, CIDR, Type, Description string
	Tags                            map[string]string
}

// Reservations lists the CIDR reservations of one subnet.
func (w *World) Reservations(subnet string) ([]topology.Reservation, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if subnet == "" {
		return nil, apierr.Missing("SubnetId")
	}
	if _, err := w.subnet(subnet); err != nil {
		return nil, err
	}
	var out []topology.Reservation
	for _, r := range w.reservations.list() {
		if r.Subnet == subnet {
			out = append(out, r)
		}
	}
	return out, nil
}

// Reserve creates a subnet CIDR reservation. The range may contain addresses
// that are in use; they stay where they are.
func (w *World) Reserve(r Reserve) (topology.Reservation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	cidr, err := w.checkReserve(r)
	if err != nil {
		return topology.Reservation{}, err
	}
	res := topology.Reservation{
		ID: w.newID("scr"), Subnet: r.Subnet, CIDR: cidr, Type: topology.ReservationType(r.Type),
		Description: r.Description, Tags: maps.Clone(r.Tags),
	}
	w.reservations.set(res.ID, res)
	return res, nil
}

func (w *World) checkReserve(r Reserve) (netip.Prefix, error) {
	for _, p := range [][2]string{{r.Subnet, "SubnetId"}, {r.CIDR, "Cidr"}, {r.Type, "ReservationType"}} {
		if p[0] == "" {
			return netip.Prefix{}, apierr.Missing(p[1])
		}
	}
	s, err := w.subnet(r.Subnet)
	if err != nil {
		return netip.Prefix{}, err
	}
	code := w.settings.Get().ReservationErrorCode
	if t := topology.ReservationType(r.Type); t != topology.Explicit && t != topology.Prefix {
		return netip.Prefix{}, apierr.New(code, "Value (%s) for parameter reservationType is invalid.", r.Type)
	}
	cidr, err := netip.ParsePrefix(r.CIDR)
	if err != nil || cidr != cidr.Masked() {
		return netip.Prefix{}, apierr.Value("Value (%s) for parameter cidr is invalid. This is not a valid CIDR block.", r.CIDR)
	}
	outer := w.cidr(s.ID, cidr.Addr().Is6())
	if !outer.IsValid() || !outer.Contains(cidr.Addr()) || outer.Bits() > cidr.Bits() {
		return netip.Prefix{}, apierr.New(code, "Reservation CIDR should be within subnet CIDR block (%s)", outer)
	}
	for _, o := range w.reservations.value {
		if o.CIDR.Overlaps(cidr) {
			return netip.Prefix{}, apierr.New(code, "Reservation CIDR %s has overlap with existing reserved CIDR block", cidr)
		}
	}
	return cidr, nil
}

// Unreserve deletes a subnet CIDR reservation and returns what it was.
func (w *World) Unreserve(id string) (topology.Reservation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == "" {
		return topology.Reservation{}, apierr.Missing("SubnetCidrReservationId")
	}
	r, ok := w.reservations.value[id]
	if !ok {
		return topology.Reservation{}, errNoReservation(id)
	}
	w.reservations.remove(id)
	return r, nil
}
