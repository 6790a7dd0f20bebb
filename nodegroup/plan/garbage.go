package plan

import (
	"cmp"
	"slices"
	"time"
)

// MaxGarbage is how many ENIs one sweep deletes: a mistake in telling garbage
// from ENIs in use must not empty an account in a minute.
const MaxGarbage = 20

// Life is what a sweep knows of an instance.
type Life struct {
	// Waiting says that a hook of ours waits for it: its ENIs are not garbage,
	// however old.
	Waiting bool
	// Gone says that it has ended or is ending.
	Gone bool
}

// Garbage returns those of our ENIs that nobody will attach: they are not
// attached, were created before the given time, and their instance is gone, has
// left its hook, or uses another ENI for the network. Instances that are not in
// lives are unknown to EC2. There are at most MaxGarbage, the oldest first.
func Garbage(enis []ENI, lives map[string]Life, before time.Time) []ENI {
	used := usedOf(enis)
	var garbage []ENI
	for _, e := range enis {
		life, known := lives[e.Instance]
		switch {
		case e.Network == "" || e.Instance == "", e.Attachment != nil, e.Created.IsZero(), !e.Created.Before(before):
		case !known, life.Gone, !life.Waiting, used[need{e.Instance, e.Network}] != e.ID:
			garbage = append(garbage, e)
		}
	}
	slices.SortFunc(garbage, func(a, b ENI) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return garbage[:min(len(garbage), MaxGarbage)]
}

// need is an ENI that an instance is to have.
type need struct{ instance, network string }

// usedOf returns the ENI that each instance uses for each network, or will use
// by the rule of Diff: one that is attached, else the one with the smallest id.
func usedOf(enis []ENI) map[need]string {
	used, attached := map[need]string{}, map[need]bool{}
	for _, e := range enis {
		n := need{e.Instance, e.Network}
		switch {
		case e.on(e.Instance) != nil:
			used[n], attached[n] = e.ID, true
		case e.Attachment == nil && !attached[n] && (used[n] == "" || e.ID < used[n]):
			used[n] = e.ID
		}
	}
	return used
}
