package nad

import (
	"slices"
	"sync"

	"github.com/gaissmai/bart"
)

// ground is what the reservations say about the VPC.
type ground struct {
	explicit []Range
	// taken is what is reserved for whatever purpose, or AWS's own.
	taken []Range
	// delegated are the reservations of type prefix, home the known subnets.
	delegated *bart.Table[Reservation]
	home      *bart.Table[subnet]
	subnets   []subnet
}

// knownGround computes the ground of reservations when it is first asked for:
// most pods ask for no address and do not need it.
type knownGround struct {
	of     []Reservation
	ground func() ground
}

func newKnownGround(reservations []Reservation) *knownGround {
	return &knownGround{reservations, sync.OnceValue(func() ground { return newGround(reservations) })}
}

// is reports whether the reservations are those of the ground: the same slice,
// which nobody changes.
func (k *knownGround) is(reservations []Reservation) bool {
	return len(k.of) == len(reservations) && (len(k.of) == 0 || &k.of[0] == &reservations[0])
}

// on returns the ground of the reservations. While they are those of the last
// check it is not worked out again, however many there are.
func (x *Index) on(reservations []Reservation) func() ground {
	if x == nil {
		return newKnownGround(reservations).ground
	}
	last := x.ground.Load()
	if last == nil || !last.is(reservations) {
		last = newKnownGround(reservations)
		x.ground.Store(last)
	}
	return last.ground
}

func newGround(reservations []Reservation) ground {
	void := func(r Reservation) bool { return !r.CIDR.IsValid() }
	if slices.ContainsFunc(reservations, void) { // which are the caller's
		reservations = slices.DeleteFunc(slices.Clone(reservations), void)
	}
	g := ground{
		explicit:  ofType(reservations, Explicit),
		delegated: new(bart.Table[Reservation]),
		home:      new(bart.Table[subnet]),
		subnets:   subnets(reservations),
	}
	g.taken = slices.Concat(g.explicit, ofType(reservations, Prefix))
	for _, s := range g.subnets {
		g.home.Insert(s.cidr, s)
		g.taken = append(g.taken, s.reserved()...)
	}
	g.taken = Union(g.taken)
	for _, r := range slices.Backward(reservations) { // of two with one CIDR, the first stays
		if r.Type == Prefix {
			g.delegated.Insert(r.CIDR, r)
		}
	}
	return g
}
