package plan

import (
	"maps"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// place is a device index on a card.
type place struct{ card, device int }

// places are the device indexes of an instance: who has each, and how many ENIs
// a card has, those that are planned included.
type places struct {
	taken map[place]string // by whom
	cards map[int]int      // ENIs
	added map[int]int      // of these, planned
}

func newPlaces(view *View) *places {
	p := &places{taken: map[place]string{}, cards: map[int]int{}, added: map[int]int{}}
	for _, e := range view.attached() {
		owner := "ENI " + e.ID
		switch {
		case e.Network != "" && e.Instance == view.Instance.ID:
			owner += " of network " + e.Network
		default:
			owner += ", which is not ours"
		}
		p.taken[place{e.Attachment.Card, e.Attachment.Device}] = owner
		p.cards[e.Attachment.Card]++
	}
	return p
}

// place finds the device index for an ENI that is to be attached.
func (d *diff) place(n *spec.Network) (device int, ok bool) {
	at := place{n.NetworkCard, n.DeviceIndex}
	owner, taken := d.places.taken[at]
	if taken && d.options.AnyIndex {
		at.device, taken = d.places.highestFree(n.NetworkCard, d.view.Limits)
	}
	if taken {
		d.refuse(n, spec.DeviceTaken, "index %d of card %d of instance %s is taken by %s; choose another deviceIndex, or have that ENI attached elsewhere",
			n.DeviceIndex, n.NetworkCard, d.view.Instance.ID, owner)
		return 0, false
	}
	d.places.taken[at] = "the new ENI of network " + n.Name
	d.places.cards[at.card]++
	d.places.added[at.card]++
	return at.device, true
}

// highestFree returns the highest index of a card that nobody has. Those who
// attach ENIs without choosing, as the VPC CNI does, begin at the lowest.
func (p *places) highestFree(card int, limits Limits) (device int, none bool) {
	top := limits.ENIs - 1
	if most, ok := limits.Cards[card]; ok {
		top = min(top, most-1)
	}
	for device := top; device > 0; device-- {
		if _, taken := p.taken[place{card, device}]; !taken {
			return device, false
		}
	}
	return 0, true
}

// checkLimits refuses what the instance type does not take. It is asked before
// anything is created, so that nothing has to be deleted again.
func (d *diff) checkLimits() {
	limits := d.view.Limits
	all, added := sum(d.places.cards), sum(d.places.added)
	if added > 0 && all > limits.ENIs {
		d.refuseAll(spec.ENILimit, "%s takes %d ENIs, and with %d more instance %s would have %d; choose a larger type or fewer networks",
			d.view.Instance.Type, limits.ENIs, added, d.view.Instance.ID, all)
		return
	}
	for _, card := range slices.Sorted(maps.Keys(d.places.added)) {
		most, exists := limits.Cards[card]
		switch {
		case !exists:
			d.refuseAll(spec.ENILimit, "%s has no network card %d; choose another networkCard", d.view.Instance.Type, card)
		case d.places.cards[card] > most:
			d.refuseAll(spec.ENILimit, "card %d of %s takes %d ENIs, and with %d more instance %s would have %d there; choose another networkCard, a larger type or fewer networks",
				card, d.view.Instance.Type, most, d.places.added[card], d.view.Instance.ID, d.places.cards[card])
		}
	}
}

func sum(counts map[int]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}
