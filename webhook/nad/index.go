package nad

import (
	"crypto/sha256"
	"hash/maphash"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// Index knows which NADs hand out which addresses. It is kept up to date NAD
// by NAD, so that a check costs the same however many there are. It may be
// used by several goroutines; a nil Index knows none.
type Index struct {
	mu sync.RWMutex
	// givers by the prefixes that cover their pools: a prefix that holds an
	// address is found without a look at the others.
	givers bart.Table[[]*giver]
	keys   map[giverKey]*giver
	placed map[string][]*giver // by the NAD's "namespace/name"
	given  givenRanges         // of all givers but static ones, which give to whom they are asked for

	ground atomic.Pointer[knownGround] // of the last check
}

// giver is all NADs that hand out the same addresses in the same way, such as
// the copies of one NAD in many namespaces.
type giver struct {
	key     giverKey
	ranges  []Range
	covers  []netip.Prefix
	objects []string // sorted; replaced, never changed, as readers keep it
}

// giverKey distinguishes givers. Only whereabouts uses the last two.
type giverKey struct {
	ranges      [sha256.Size]byte
	ipam        string
	networkName string
	apart       bool
}

// NewIndex returns an index of the networks.
func NewIndex(networks ...Network) *Index {
	x := &Index{keys: map[giverKey]*giver{}, placed: map[string][]*giver{}, given: givenRanges{seed: maphash.MakeSeed()}}
	for _, n := range networks {
		x.Put(n)
	}
	return x
}

// Put adds a NAD, or replaces what the NAD of the same Object handed out.
func (x *Index) Put(n Network) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(n.Object)
	for _, plugin := range n.Plugins {
		if len(plugin.IPAM.Pools) > 0 {
			x.add(n.Object, plugin.IPAM)
		}
	}
	for _, r := range x.handedOut(n.Object) {
		x.given.add(givenKey{r, n.Object})
	}
}

// handedOut returns what a NAD hands out to pods that do not ask for it.
func (x *Index) handedOut(object string) []Range {
	var all []Range
	for _, g := range x.placed[object] {
		if g.key.ipam != "static" {
			all = append(all, g.ranges...)
		}
	}
	return Union(all)
}

// abroad returns a NAD that may give the address to a pod and is not of the
// namespace. That is exact, and costs the same however many NADs there are.
func (x *Index) abroad(addr netip.Addr, namespace string) (object string, found bool) {
	if x == nil {
		return "", false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.given.abroad(addr, namespace)
}

// Delete removes the NAD with the "namespace/name".
func (x *Index) Delete(object string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(object)
}

func (x *Index) add(object string, ipam IPAM) {
	ranges := ipam.ranges()
	key := giverKey{digest(ranges), ipam.Type, ipam.NetworkName, ipam.Apart}
	g, known := x.keys[key]
	if !known {
		g = &giver{key: key, ranges: ranges, covers: ipam.covers()}
		x.keys[key] = g
		for _, p := range g.covers {
			x.givers.Modify(p, func(here []*giver, _ bool) ([]*giver, bool) { return append(here, g), false })
		}
	}
	if i, there := slices.BinarySearch(g.objects, object); !there {
		g.objects = slices.Insert(slices.Clone(g.objects), i, object)
		x.placed[object] = append(x.placed[object], g)
	}
}

func (x *Index) remove(object string) {
	for _, r := range x.handedOut(object) {
		x.given.remove(givenKey{r, object})
	}
	for _, g := range x.placed[object] {
		if i, there := slices.BinarySearch(g.objects, object); there {
			g.objects = slices.Delete(slices.Clone(g.objects), i, i+1)
		}
		if len(g.objects) > 0 {
			continue
		}
		delete(x.keys, g.key)
		for _, p := range g.covers {
			x.givers.Modify(p, func(here []*giver, _ bool) ([]*giver, bool) {
				here = slices.DeleteFunc(here, func(other *giver) bool { return other == g })
				return here, len(here) == 0
			})
		}
	}
	delete(x.placed, object)
}

// covers are prefixes that hold all pools.
func (i IPAM) covers() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range i.Pools {
		all = append(all, Range{p.Ranges[0].First, p.Ranges[len(p.Ranges)-1].Last}.cover()...)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
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
	shared  []Range
	ipam    IPAM     // its Type, NetworkName and Apart
	objects []string // sorted, one at least
}

// overlaps returns the overlaps of a pool's ranges, which are a union, with the
// givers that keep lets through. complete is false when not all were compared.
func (x *Index) overlaps(ranges []Range, left *budget, keep func(overlap) bool) (found []overlap, complete bool) {
	if x == nil || len(ranges) == 0 {
		return nil, true
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	seen := map[*giver]bool{}
	for g := range x.near(Range{ranges[0].First, ranges[len(ranges)-1].Last}) {
		if !left.spend(1) {
			return found, false
		}
		o := overlap{ipam: IPAM{Type: g.key.ipam, NetworkName: g.key.networkName, Apart: g.key.apart}, objects: g.objects}
		if seen[g] || !keep(o) || len(ranges) == 1 && !ranges[0].among(g.ranges) {
			continue
		}
		seen[g] = true
		if !left.spend(len(ranges) + len(g.ranges)) {
			return found, false
		}
		if o.shared = Intersect(ranges, g.ranges); len(o.shared) == 0 {
			continue
		}
		if len(found) == maxOverlaps {
			return found, false
		}
		found = append(found, o)
	}
	return found, true
}

// near yields the givers whose covers have an address in common with those of
// the range, some of them twice.
func (x *Index) near(r Range) iter.Seq[*giver] {
	return func(yield func(*giver) bool) {
		for _, p := range r.cover() {
			for _, walk := range []func(netip.Prefix) iter.Seq2[netip.Prefix, []*giver]{x.givers.Supernets, x.givers.Subnets} {
				for _, here := range walk(p) {
					for _, g := range here {
						if !yield(g) {
							return
						}
					}
				}
			}
		}
	}
}
