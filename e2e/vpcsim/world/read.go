package world

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// ENIs lists all ENIs as a view shows them, in the order of their creation.
func (w *World) ENIs(v lag.View) []*ENI {
	w.mu.RLock()
	defer w.mu.RUnlock()
	now, bounds := w.now(), w.bounds()
	out := make([]*ENI, 0, len(w.enis.keys))
	for _, h := range w.enis.list() {
		if e := h.At(v, now, bounds); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// ENI returns one ENI as it is now.
func (w *World) ENI(id string) (*ENI, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.find(id)
}

func (w *World) find(id string) (*ENI, error) {
	if id == "" {
		return nil, errMissingENI()
	}
	if h := w.enis.value[id]; len(h) > 0 && h.Latest() != nil {
		return h.Latest(), nil
	}
	if !strings.HasPrefix(id, "eni-") {
		return nil, errMalformedENI(id)
	}
	return nil, errNoENI(id)
}

// Instance returns one instance.
func (w *World) Instance(id string) (Instance, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.instance(id)
}

func (w *World) instance(id string) (Instance, error) {
	if h := w.instances.value[id]; len(h) > 0 && h.Latest().ID != "" {
		return h.Latest(), nil
	}
	if !strings.HasPrefix(id, "i-") {
		return Instance{}, errMalformedInstance(id)
	}
	return Instance{}, errNoInstance(id)
}

// Attached lists the ENIs of one instance as a view shows them, by network card
// and device index.
func (w *World) Attached(instance string, v lag.View) []*ENI {
	enis := slices.DeleteFunc(w.ENIs(v), func(e *ENI) bool { return !e.On(instance) })
	slices.SortStableFunc(enis, func(a, b *ENI) int {
		if d := a.Attachment.NetworkCard - b.Attachment.NetworkCard; d != 0 {
			return d
		}
		return a.Attachment.DeviceIndex - b.Attachment.DeviceIndex
	})
	return enis
}

// Subnets lists all subnets.
func (w *World) Subnets() []topology.Subnet {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.subnets.list()
}

// Subnet returns one subnet.
func (w *World) Subnet(id string) (topology.Subnet, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.subnet(id)
}

func (w *World) subnet(id string) (topology.Subnet, error) {
	if s, ok := w.subnets.value[id]; ok {
		return s, nil
	}
	return topology.Subnet{}, errNoSubnet(id)
}

// Available counts the addresses of a subnet that EC2 would still hand out.
func (w *World) Available(subnet string) int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	s := w.subnets.value[subnet]
	if !s.CIDR.IsValid() {
		return 0 // IPv6 only
	}
	free := 1<<(32-s.CIDR.Bits()) - 5 // AWS keeps five addresses for itself
	for a := range w.holders {
		if s.CIDR.Contains(a) {
			free--
		}
	}
	for p := range w.blocks {
		if s.CIDR.Overlaps(p) {
			free -= 1 << (32 - p.Bits())
		}
	}
	if w.settings.Get().PrefixReservationCountsAsUsed {
		free -= w.idleInPrefixReservations(s)
	}
	return max(free, 0)
}

// idleInPrefixReservations counts addresses that prefix reservations of a
// subnet withhold and that nothing uses yet.
func (w *World) idleInPrefixReservations(s topology.Subnet) int {
	idle := 0
	for _, r := range w.reservations.list() {
		if r.Subnet != s.ID || r.Type != topology.Prefix || r.CIDR.Addr().Is6() {
			continue
		}
		first, n := topology.Number(r.CIDR.Addr()), uint32(1)<<(32-r.CIDR.Bits())
		for i := range n {
			a := topology.Numbered(first + i)
			if w.free(a) && !topology.Reserved(a, s.CIDR) {
				idle++
			}
		}
	}
	return idle
}

// RoutedTo names the ENI to which packets for addr go, through the lag of the
// data path. An ENI that is attached to no instance is named all the same.
func (w *World) RoutedTo(addr netip.Addr) (eni string, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	bits := []int{32, topology.IPv4PrefixBits}
	if addr.Is6() {
		bits = []int{128, topology.IPv6PrefixBits}
	}
	now, bounds := w.now(), w.bounds()
	for _, b := range bits {
		p := netip.PrefixFrom(addr, b).Masked()
		if id := w.routes[p].At(lag.DataPath, now, bounds); id != "" {
			return id, true
		}
	}
	return "", false
}

// Routes returns everything that the data path delivers, and to which ENI.
func (w *World) Routes() map[netip.Prefix]string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	now, bounds := w.now(), w.bounds()
	out := map[netip.Prefix]string{}
	for p, h := range w.routes {
		if id := h.At(lag.DataPath, now, bounds); id != "" {
			out[p] = id
		}
	}
	return out
}
