package nad

import (
	"cmp"
	"crypto/sha256"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/btree"
)

// Index knows which NADs hand out which addresses. It is kept up to date NAD
// by NAD, so that a check costs the same however many there are. It may be
// used by several goroutines; a nil Index knows none.
type Index struct {
	mu     sync.RWMutex
	givers map[giverKey]*giver
	placed map[string][]*giver // by the NAD's "namespace/name"
	last   uint64              // the newest giver's id

	copies  *btree.BTreeG[copied] // the NADs of all givers
	in      map[household]int     // how many copies a namespace has
	pools   pieceTree             // what pods get without asking for it
	statics pieceTree             // what they get from static IPAM

	ground atomic.Pointer[knownGround] // of the last check
}

// giver is all NADs that hand out the same addresses in the same way, such as
// the copies of one NAD in many namespaces.
type giver struct {
	id         uint64
	key        giverKey
	ranges     []Range // a union
	total      int     // its NADs
	namespaces int     // that have some of them
	home       string  // see homeOf; severalHomes, or empty before the first NAD and after the last
}

// giverKey distinguishes givers. Only whereabouts uses the last two.
type giverKey struct {
	ranges      [sha256.Size]byte
	ipam        string
	networkName string
	apart       bool
}

// copied is one NAD of a giver.
type copied struct {
	giver  uint64
	object string
}

// household is a giver's NADs in one namespace.
type household struct {
	giver uint64
	home  string
}

// severalHomes is the home of a giver with NADs in several namespaces.
const severalHomes = "*"

// homeOf is the namespace of a NAD with a slash: what all names of its NADs, as
// "namespace/name", begin with.
func homeOf(object string) string {
	namespace, _, _ := strings.Cut(object, "/")
	return namespace + "/"
}

// NewIndex returns an index of the networks.
func NewIndex(networks ...Network) *Index {
	const degree = 32
	before := func(a, b copied) bool {
		return cmp.Or(cmp.Compare(a.giver, b.giver), strings.Compare(a.object, b.object)) < 0
	}
	seed := maphash.MakeSeed()
	x := &Index{
		givers: map[giverKey]*giver{}, placed: map[string][]*giver{},
		copies: btree.NewG(degree, before), in: map[household]int{}, pools: pieceTree{seed: seed}, statics: pieceTree{seed: seed},
	}
	for _, n := range networks {
		x.Put(n)
	}
	return x
}

// Put adds a NAD, or replaces what the NAD of the same Object handed out. It
// costs n log n of the NAD's ranges, and nothing but a look if they are the same
// as before.
func (x *Index) Put(n Network) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var after []*giver
	for _, p := range n.Plugins {
		if len(p.IPAM.Pools) == 0 {
			continue
		}
		if g := x.giverOf(p.IPAM); !slices.Contains(after, g) {
			after = append(after, g)
		}
	}
	x.place(n.Object, after)
}

// Delete removes the NAD with the "namespace/name".
func (x *Index) Delete(object string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.place(object, nil)
}

// place makes a NAD one of these givers', and of no others.
func (x *Index) place(object string, after []*giver) {
	before := x.placed[object]
	if x.placed[object] = after; len(after) == 0 {
		delete(x.placed, object)
	}
	for _, g := range after {
		if !slices.Contains(before, g) {
			x.join(g, object)
		}
	}
	for _, g := range before {
		if !slices.Contains(after, g) {
			x.leave(g, object)
		}
	}
}

func (x *Index) giverOf(ipam IPAM) *giver {
	ranges := ipam.ranges()
	key := giverKey{digest(ranges), ipam.Type, ipam.NetworkName, ipam.Apart}
	g, known := x.givers[key]
	if !known {
		x.last++
		g = &giver{id: x.last, key: key, ranges: ranges}
		x.givers[key] = g
	}
	return g
}

func (x *Index) join(g *giver, object string) {
	x.copies.ReplaceOrInsert(copied{g.id, object})
	g.total++
	h := household{g.id, homeOf(object)}
	x.in[h]++
	if x.in[h] == 1 {
		g.namespaces++
		x.settle(g)
	}
}

func (x *Index) leave(g *giver, object string) {
	x.copies.Delete(copied{g.id, object})
	g.total--
	h := household{g.id, homeOf(object)}
	x.in[h]--
	if x.in[h] == 0 {
		delete(x.in, h)
		g.namespaces--
		x.settle(g)
	}
	if g.total == 0 {
		delete(x.givers, g.key)
	}
}

// settle works out a giver's home, which the trees depend on.
func (x *Index) settle(g *giver) {
	home := ""
	switch {
	case g.namespaces > 1:
		home = severalHomes
	case g.namespaces == 1:
		x.copies.AscendGreaterOrEqual(copied{g.id, ""}, func(c copied) bool {
			home = homeOf(c.object)
			return false
		})
	}
	if home == g.home {
		return
	}
	tree := &x.pools
	if g.key.ipam == "static" {
		tree = &x.statics
	}
	if g.home != "" {
		tree.remove(g)
	}
	if g.home = home; home != "" {
		tree.add(g)
	}
}

func digest(ranges []Range) [sha256.Size]byte {
	text := make([]byte, 0, 32*len(ranges))
	for _, r := range ranges {
		text = append(append(text, r.First.AsSlice()...), r.Last.AsSlice()...)
	}
	return sha256.Sum256(text)
}

// overlap is what a giver has in common with the ranges that were asked for.
type overlap struct {
	shared []Range
	ipam   IPAM // its Type, NetworkName and Apart
	// home and abroad are the giver's NADs in the namespace that was asked for,
	// and in others.
	home, abroad names
}

// overlaps returns the overlaps of a pool's ranges, which are a union, with the
// givers that keep lets through. own is the NAD that the pool is of: it does not
// count. complete is false when not all were compared.
func (x *Index) overlaps(own string, ranges []Range, left *budget, keep func(IPAM) bool) (found []overlap, complete bool) {
	if x == nil || len(ranges) == 0 {
		return nil, true
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	seen := map[*giver]bool{}
	complete = true
	look := func(g *giver) bool {
		if complete = left.spend(1); !complete || seen[g] {
			return complete
		}
		seen[g] = true
		ipam := IPAM{Type: g.key.ipam, NetworkName: g.key.networkName, Apart: g.key.apart}
		if !keep(ipam) || g.total == 1 && x.copies.Has(copied{g.id, own}) {
			return true
		}
		if complete = left.spend(len(ranges) + len(g.ranges)); !complete {
			return false
		}
		shared := Intersect(ranges, g.ranges)
		if len(shared) == 0 {
			return true
		}
		if complete = len(found) < maxOverlaps; complete {
			o := overlap{shared: shared, ipam: ipam}
			o.home, o.abroad = x.names(g, own)
			found = append(found, o)
		}
		return complete
	}
	whole := Range{ranges[0].First, ranges[len(ranges)-1].Last}
	_ = x.pools.root.within(whole, look) && x.statics.root.within(whole, look)
	return found, complete
}

// names are the giver's NADs but for own: those of its namespace, and others.
func (x *Index) names(g *giver, own string) (home, abroad names) {
	from := homeOf(own)
	to := strings.TrimSuffix(from, "/") + "0" // what follows a slash
	home.total = x.in[household{g.id, from}]
	abroad.total = g.total - home.total
	if x.copies.Has(copied{g.id, own}) {
		home.total--
	}
	list := func(n *names, from, to copied) {
		x.copies.AscendRange(from, to, func(c copied) bool {
			if c.object != own {
				n.first = append(n.first, c.object)
			}
			return len(n.first) <= mostItems
		})
	}
	list(&home, copied{g.id, from}, copied{g.id, to})
	list(&abroad, copied{g.id, ""}, copied{g.id, from})
	list(&abroad, copied{g.id, to}, copied{g.id + 1, ""})
	return home, abroad
}

// abroad returns a NAD that may give the address to a pod and is not of own's
// namespace. It costs the same however many NADs there are, and none hides
// another.
func (x *Index) abroad(addr netip.Addr, own string) (object string, found bool) {
	if x == nil {
		return "", false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	g := x.pools.abroad(addr, homeOf(own))
	if g == nil {
		return "", false
	}
	_, abroad := x.names(g, own)
	return abroad.first[0], true
}
