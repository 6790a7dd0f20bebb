package nad

import (
	"cmp"
	"hash/maphash"
	"net/netip"
)

// pieceTree finds the givers that hand out an address. It is a search tree of
// ranges by their first addresses, a treap, in which each node knows which of
// the ranges below it reach farthest: so it finds those of other namespaces
// however many there are of the own one.
type pieceTree struct {
	seed maphash.Seed
	root *piece
}

// piece is one range of a giver.
type piece struct {
	giver       *giver
	at          uint32 // of the giver's ranges
	priority    uint32 // at random, and highest at the root: so the tree stays flat
	left, right *piece

	// farthest ends last of this piece and those below, and rival ends last of
	// those whose home is not farthest's.
	farthest, rival *piece
}

func (p *piece) reach() Range { return p.giver.ranges[p.at] }

// last is the last address of this piece and those below.
func (p *piece) last() netip.Addr { return p.farthest.reach().Last }

func (p *piece) compare(other *piece) int {
	a, b := p.reach(), other.reach()
	return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last), cmp.Compare(p.giver.id, other.giver.id))
}

// add adds the ranges of a giver that has none in the tree.
func (t *pieceTree) add(g *giver) {
	for at := range g.ranges {
		n := t.piece(g, at)
		n.look()
		before, after := t.root.split(n)
		t.root = before.join(n).join(after)
	}
}

// remove removes the ranges of a giver, whose home is what it was when they
// were added.
func (t *pieceTree) remove(g *giver) {
	for at := range g.ranges {
		t.root = t.root.without(t.piece(g, at))
	}
}

func (t *pieceTree) piece(g *giver, at int) *piece {
	type key struct {
		giver uint64
		at    int
	}
	return &piece{giver: g, at: uint32(at), priority: uint32(maphash.Comparable(t.seed, key{g.id, at}))}
}

// abroad returns a giver of the address that has a NAD outside of a home, or
// nil. It looks at no more pieces than the tree is deep.
func (t *pieceTree) abroad(addr netip.Addr, home string) *giver {
	for n := t.root; n != nil; {
		if addr.Less(n.reach().First) {
			n = n.left
			continue
		}
		// n and what is left of it begin at the address or before.
		for _, p := range []*piece{n, n.left.reaches(), n.left.rivals()} {
			if p != nil && addr.Compare(p.reach().Last) <= 0 && p.giver.home != home {
				return p.giver
			}
		}
		n = n.right
	}
	return nil
}

// within calls look with the givers of the pieces that have an address in
// common with a range, until it returns false.
func (p *piece) within(r Range, look func(*giver) bool) bool {
	if p == nil || p.last().Less(r.First) {
		return true
	}
	if !p.left.within(r, look) {
		return false
	}
	if r.Last.Less(p.reach().First) {
		return true // as what is right of p begins later still
	}
	if p.reach().Overlaps(r) && !look(p.giver) {
		return false
	}
	return p.right.within(r, look)
}

func (p *piece) reaches() *piece {
	if p == nil {
		return nil
	}
	return p.farthest
}

func (p *piece) rivals() *piece {
	if p == nil {
		return nil
	}
	return p.rival
}

// look works out farthest and rival after a change below.
func (p *piece) look() {
	p.farthest, p.rival = p, nil
	for _, other := range []*piece{p.left.reaches(), p.left.rivals(), p.right.reaches(), p.right.rivals()} {
		p.consider(other)
	}
}

func (p *piece) consider(other *piece) {
	switch {
	case other == nil:
	case other.giver.home == p.farthest.giver.home:
		if p.last().Less(other.reach().Last) {
			p.farthest = other
		}
	case p.last().Less(other.reach().Last):
		p.farthest, p.rival = other, p.farthest
	case p.rival == nil || p.rival.reach().Last.Less(other.reach().Last):
		p.rival = other
	}
}

// split takes a tree apart: what comes before the piece, and what does not.
func (p *piece) split(at *piece) (before, after *piece) {
	switch {
	case p == nil:
		return nil, nil
	case p.compare(at) < 0:
		p.right, after = p.right.split(at)
		p.look()
		return p, after
	default:
		before, p.left = p.left.split(at)
		p.look()
		return before, p
	}
}

// join is the tree of two, of which all of the other comes after p.
func (p *piece) join(other *piece) *piece {
	switch {
	case p == nil:
		return other
	case other == nil:
		return p
	case p.priority > other.priority:
		p.right = p.right.join(other)
		p.look()
		return p
	default:
		other.left = p.join(other.left)
		other.look()
		return other
	}
}

func (p *piece) without(other *piece) *piece {
	if p == nil {
		return nil
	}
	switch c := other.compare(p); {
	case c == 0:
		return p.left.join(p.right)
	case c < 0:
		p.left = p.left.without(other)
	default:
		p.right = p.right.without(other)
	}
	p.look()
	return p
}
