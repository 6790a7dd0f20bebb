package nad

import (
	"errors"
	"strings"
)

// Bounds of the work that one object or one pod may cause. Anyone who may create
// objects chooses their sizes. Each bound is far above real use; input beyond it
// is reported and not read. docs/rules.md lists them.

// Bounds of a pod's networks annotation. A real one selects fewer than twenty
// networks, and asks for one or two addresses of each.
const (
	// MaxAnnotation is how many bytes it may have: the API server's own bound of
	// all annotations, which it applies after the webhooks.
	MaxAnnotation = 256 << 10
	// MaxNetworks is how many networks it may select.
	MaxNetworks = 64
	// MaxIPs is how many addresses it may ask for in "ips" of one network, and
	// as many in its "cni-args".
	MaxIPs = 16
)

// Bounds of a NAD. A real one has less than 10 KB and a few ranges.
const (
	// MaxConfig is how many bytes spec.config may have.
	MaxConfig = 128 << 10
	// MaxPlugins is how many plugins it may list.
	MaxPlugins = 32
	// MaxRanges, MaxExclusions and MaxAddresses are how many ranges, exclusions
	// and static addresses all its plugins together may have.
	MaxRanges     = 128
	MaxExclusions = 1000
	MaxAddresses  = 256
)

// maxPieces is how many ranges caches keep of one NAD, or one for each that it
// names. MaxRanges ranges that gateways cut in two are that many.
const maxPieces = 2 * MaxRanges

// maxName is how many bytes are kept of a plugin's type and of other names. No
// file and no object has a longer one.
const maxName = 253

// Bounds of one check, and of what it says.
const (
	// maxMeant is the number of unknown keys of one NAD for which the intended key
	// is searched.
	maxMeant = 64
	// maxOverlaps is the number of networks whose overlaps with one pool, or with
	// one address of a pod, are reported. Copies of a network count once.
	maxOverlaps = 64
	// maxSteps bounds how many ranges of other networks one check looks at.
	maxSteps = 200_000
	// maxOfRule is how many findings of one rule are reported for one object. The
	// others are counted. As each rule has its own, no warning hides an error.
	maxOfRule = 10
	// maxMessage is how many bytes one of them may have, maxQuote how many of
	// what it repeats of the object.
	maxMessage = 4 << 10
	maxQuote   = 2 << 10
)

// ErrTooLarge says that an object exceeds a bound.
var ErrTooLarge = errors.New("is too large to be checked")

// budget is the number of steps that one check has left.
type budget int

// spend reports whether that many steps were left.
func (b *budget) spend(steps int) bool {
	if int(*b) < steps {
		*b = 0
		return false
	}
	*b -= budget(steps)
	return true
}

// tally counts what the plugins of one NAD have.
type tally struct{ ranges, exclusions, addresses int }

// fits adds to a count of the tally, and reports whether it is within its
// bound. If not, nothing of this IPAM is read.
func (r *reader) fits(field, what string, count *int, more, most int) bool {
	*count += more
	if *count <= most {
		return true
	}
	r.ipam.unread = true
	r.add(TooLarge, field, "this makes %d %s; at most %d of one NAD are checked, so this IPAM is not checked; write fewer, or split the NAD", *count, what, most)
	return false
}

// bounded is the error, or what it begins and ends with.
func bounded(err error) error {
	if err == nil || len(err.Error()) <= maxMessage {
		return err
	}
	return errors.New(shorten(err.Error(), maxMessage))
}

// shorten keeps the beginning and the end of a text that is too long: what it
// quotes begins there, and why it is wrong stands at its end.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const gap = " ... "
	tail := most / 3
	head := most - tail - len(gap)
	return strings.ToValidUTF8(text[:head], "") + gap + strings.ToValidUTF8(text[len(text)-tail:], "")
}
