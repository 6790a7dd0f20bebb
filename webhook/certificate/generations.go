package certificate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// generations are what replicas share, in the order of their numbers: a
// Secret's entries tls-NUMBER.crt and tls-NUMBER.key.
type generations []generation

// keep is how many of the newest generations stay although they ended: the
// clock that says so may be wrong, and a replica with another clock serve one.
const keep = 3

// decode reads the entries of a Secret. The error tells of those that cannot
// be used, which are left out.
func decode(data map[string][]byte) (generations, error) {
	var all generations
	var mistakes []error
	for _, name := range slices.Sorted(maps.Keys(data)) {
		text, isCertificate := strings.CutSuffix(name, ".crt")
		text, ours := strings.CutPrefix(text, "tls-")
		if !isCertificate || !ours {
			continue
		}
		number, err := strconv.Atoi(text)
		var g generation
		if err == nil {
			g, err = parse(number, data[name], data["tls-"+text+".key"])
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("entry %s cannot be used and is replaced: %w", name, err))
			continue
		}
		all = append(all, g)
	}
	all.sort()
	return all, errors.Join(mistakes...)
}

// encode returns the entries of a Secret.
func (all generations) encode() map[string][]byte {
	data := map[string][]byte{}
	for _, g := range all {
		data[fmt.Sprintf("tls-%d.crt", g.number)] = g.chain
		data[fmt.Sprintf("tls-%d.key", g.number)] = g.key
	}
	return data
}

func (all generations) sort() {
	slices.SortFunc(all, func(a, b generation) int { return cmp.Compare(a.number, b.number) })
}

// next is the number of the generation to come.
func (all generations) next() int {
	if len(all) == 0 {
		return 1
	}
	return all[len(all)-1].number + 1
}

func (all generations) has(g generation) bool { return slices.ContainsFunc(all, g.same) }

// due reports whether a server with these names needs a new generation.
func (all generations) due(names []string, now time.Time, renewBefore time.Duration) bool {
	return !slices.ContainsFunc(all, func(g generation) bool {
		return g.covers(names) && now.Before(g.ends().Add(-renewBefore))
	})
}

// restore adds what a replica holds and the Secret has lost.
func (all generations) restore(held generations, now time.Time) generations {
	restored := slices.Clone(all)
	for _, g := range held {
		if restored.has(g) || now.After(g.ends()) {
			continue
		}
		if slices.ContainsFunc(restored, func(other generation) bool { return other.number == g.number }) {
			g.number = restored.next()
		}
		restored = append(restored, g)
		restored.sort()
	}
	return restored
}

// prune leaves out what ended, but for the newest.
func (all generations) prune(now time.Time) generations {
	old := max(0, len(all)-keep)
	kept := slices.DeleteFunc(slices.Clone(all[:old]), func(g generation) bool { return now.After(g.ends()) })
	return append(kept, all[old:]...)
}
