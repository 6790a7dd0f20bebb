package nad

import (
	"hash/maphash"
	"net/netip"
	"strings"
)

// givenRanges finds NADs of other namespaces that may give an address to pods,
// however many there are of the own one. It is a search tree of ranges by their
// first addresses, a treap, in which each node knows which of the ranges below
// it reach farthest.
type givenRanges struct {
	seed maphash.Seed
	root *given
}

// given is a range that a NAD hands out to pods.
type given struct {
	givenKey
	priority    uint64 // at random, and highest at the root: so the tree stays flat
	left, right *given

	// farthest ends last of this range and those below, and rival ends last of
	// those that are not of farthest's namespace.
	farthest, rival *given
}

type givenKey struct {
	Range
	object string // "namespace/name" of the NAD
}

func (k givenKey) compare(other givenKey) int {
	if c := k.First.Compare(other.First); c != 0 {
		return c
	}
	if c := k.Last.Compare(other.Last); c != 0 {
		return c
	}
	return strings.Compare(k.object, other.object)
}

func (k givenKey) namespace() string {
	namespace, _, _ := strings.Cut(k.object, "/")
	return namespace
}

// add adds a range that is not there yet.
func (t *givenRanges) add(key givenKey) {
	n := &given{givenKey: key, priority: maphash.Comparable(t.seed, key)}
	n.look()
	before, after := t.root.split(key)
	t.root = before.join(n).join(after)
}

// remove removes a range, if it is there.
func (t *givenRanges) remove(key givenKey) { t.root = t.root.without(key) }

// abroad returns a NAD that may give the address to a pod and is not of the
// namespace. It looks at no more ranges than the tree is deep.
func (t *givenRanges) abroad(addr netip.Addr, namespace string) (object string, found bool) {
	for n := t.root; n != nil; {
		if addr.Less(n.First) {
			n = n.left
			continue
		}
		// n and what is left of it begin at the address or before.
		for _, g := range []*given{n, n.left.reaches(), n.left.rivals()} {
			if g != nil && addr.Compare(g.Last) <= 0 && g.namespace() != namespace {
				return g.object, true
			}
		}
		n = n.right
	}
	return "", false
}

func (n *given) reaches() *given {
	if n == nil {
		return nil
	}
	return n.farthest
}

func (n *given) rivals() *given {
	if n == nil {
		return nil
	}
	return n.rival
}

// look works out farthest and rival after a change below.
func (n *given) look() {
	n.farthest, n.rival = n, nil
	for _, g := range []*given{n.left.reaches(), n.left.rivals(), n.right.reaches(), n.right.rivals()} {
		n.consider(g)
	}
}

func (n *given) consider(g *given) {
	switch {
	case g == nil:
	case g.namespace() == n.farthest.namespace():
		if n.farthest.Last.Less(g.Last) {
			n.farthest = g
		}
	case n.farthest.Last.Less(g.Last):
		n.farthest, n.rival = g, n.farthest
	case n.rival == nil || n.rival.Last.Less(g.Last):
		n.rival = g
	}
}

// split takes a tree apart: what comes before the key, and what does not.
func (n *given) split(key givenKey) (before, after *given) {
	switch {
	case n == nil:
		return nil, nil
	case n.compare(key) < 0:
		n.right, after = n.right.split(key)
		n.look()
		return n, after
	default:
		before, n.left = n.left.split(key)
		n.look()
		return before, n
	}
}

// join is the tree of two, of which all of the other comes after n.
func (n *given) join(other *given) *given {
	switch {
	case n == nil:
		return other
	case other == nil:
		return n
	case n.priority > other.priority:
		n.right = n.right.join(other)
		n.look()
		return n
	default:
		other.left = n.join(other.left)
		other.look()
		return other
	}
}

func (n *given) without(key givenKey) *given {
	if n == nil {
		return nil
	}
	switch c := key.compare(n.givenKey); {
	case c == 0:
		return n.left.join(n.right)
	case c < 0:
		n.left = n.left.without(key)
	default:
		n.right = n.right.without(key)
	}
	n.look()
	return n
}
