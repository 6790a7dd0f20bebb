// Package lag lets the services of AWS show a change at different moments: what
// one call shows, another may not show yet.
package lag

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

// View says through whose eyes the world is seen. The services of AWS agree
// only in the end; each has a lag of its own.
type View int

// The views.
const (
	// Now is the truth: what the control plane has decided.
	Now View = iota
	// Interfaces is what DescribeNetworkInterfaces shows.
	Interfaces
	// Instances is what DescribeInstances shows, of ENIs too.
	Instances
	// Groups is what the Describe calls of Auto Scaling show.
	Groups
	// IMDS is what the instance metadata service shows.
	IMDS
	// DataPath is where packets go.
	DataPath
	views
)

// Lags is the delay of each view.
type Lags [views]time.Duration

// Bounds returns the longest delays that the settings allow.
func Bounds(s settings.Settings) Lags {
	describe := time.Duration(s.DescribeLag)
	return Lags{
		Interfaces: describe, Instances: describe, Groups: describe,
		IMDS: time.Duration(s.IMDSLag), DataPath: time.Duration(s.DataPathLag),
	}
}

// Draw returns the delays of one change. With describeJitter each kind of
// Describe call shows it at a moment of its own.
func Draw(s settings.Settings, r *rand.Rand) Lags {
	lags := Bounds(s)
	if s.DescribeJitter && s.DescribeLag > 0 {
		for _, v := range []View{Interfaces, Instances, Groups} {
			lags[v] = time.Duration(r.Int64N(int64(s.DescribeLag) + 1))
		}
	}
	return lags
}

// longest is when the last view follows.
func (l Lags) longest() time.Duration { return slices.Max(l[:]) }

// Moment is when something changed and how long each view took to follow.
type Moment struct {
	At   time.Time
	Lags Lags
}

// visible reports whether a view shows the change. A lag that was lowered
// meanwhile helps old changes too; one that was raised never hides what was
// shown before.
func (m Moment) visible(v View, now time.Time, bounds Lags) bool {
	return now.Sub(m.At) >= min(m.Lags[v], bounds[v])
}

// Settled reports whether all views show the change, whatever the settings.
func (m Moment) Settled(now time.Time) bool { return now.Sub(m.At) >= m.Lags.longest() }

// change is a value that holds from a moment on.
type change[T any] struct {
	Moment
	value T
}

// History is a list of changes, oldest first.
type History[T any] []change[T]

// Add appends a change and forgets those that no view needs any more.
func (h History[T]) Add(value T, m Moment) History[T] {
	h = append(h, change[T]{m, value})
	for i := len(h) - 1; i > 0; i-- {
		if h[i].Settled(m.At) {
			return append(History[T](nil), h[i:]...)
		}
	}
	return h
}

// At returns the value that a view shows; the zero value when the view has not
// seen any yet.
func (h History[T]) At(v View, now time.Time, bounds Lags) T {
	for _, c := range slices.Backward(h) {
		if c.visible(v, now, bounds) {
			return c.value
		}
	}
	var none T
	return none
}

// Latest returns the value that holds now.
func (h History[T]) Latest() T { return h[len(h)-1].value }

// Settled reports whether all views show the latest value.
func (h History[T]) Settled(now time.Time) bool { return h[len(h)-1].Moment.Settled(now) }
