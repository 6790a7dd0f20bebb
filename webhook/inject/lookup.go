package inject

import "github.com/multus-ipmgr/multus-ipmgr/webhook/nad"

// FindNAD looks up what a NAD means. It reports false when there is none.
type FindNAD func(namespace, name string) (nad.Network, bool)

// ReadNAD reads from the API server what a NAD means. It reports false when
// there is none, and an error when that is unknown.
type ReadNAD func(namespace, name string) (nad.Network, bool, error)

// Lookup finds networks for one admission. It looks up each network once,
// however often the admission is decided.
type Lookup struct {
	cached FindNAD
	live   ReadNAD
	reads  int
	known  map[[2]string]answer
}

// answer is what is known of a network. Neither found nor failed, it is
// missing.
type answer struct {
	network nad.Network
	found   bool
	// unconfirmed reports whether the API server could not confirm that the
	// network is missing, because of err or of MaxLiveReads.
	unconfirmed bool
	err         error
}

// NewLookup returns a lookup that asks cached first and, for networks that it
// does not have, live, unless that is nil.
func NewLookup(cached FindNAD, live ReadNAD) *Lookup {
	return &Lookup{cached: cached, live: live, known: map[[2]string]answer{}}
}

// find looks a network up.
func (l *Lookup) find(namespace, name string) answer {
	key := [2]string{namespace, name}
	a, asked := l.known[key]
	if !asked {
		a = l.ask(namespace, name)
		l.known[key] = a
	}
	return a
}

// nad is find for callers that need only existing networks.
func (l *Lookup) nad(namespace, name string) (nad.Network, bool) {
	a := l.find(namespace, name)
	return a.network, a.found
}

func (l *Lookup) ask(namespace, name string) answer {
	var a answer
	if a.network, a.found = l.cached(namespace, name); a.found || l.live == nil {
		return a
	}
	if l.reads == MaxLiveReads {
		a.unconfirmed = true
		return a
	}
	l.reads++
	a.network, a.found, a.err = l.live(namespace, name)
	a.unconfirmed = a.err != nil
	return a
}
