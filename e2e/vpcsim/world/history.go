package world

import (
	"slices"
	"time"
)

// View says through whose eyes the ENIs are seen. The services of AWS agree
// only in the end; each has a lag of its own.
type View int

// The views.
const (
	// Now is the truth: what the EC2 control plane has decided.
	Now View = iota
	// Describe is what the Describe calls show.
	Describe
	// IMDS is what the instance metadata service shows.
	IMDS
	// DataPath is where packets go.
	DataPath
	views
)

// lags is the delay of each view.
type lags [views]time.Duration

// lags returns the delays that hold for a change made now.
func (w *World) lags() lags {
	s := w.settings.Get()
	return lags{
		Describe: time.Duration(s.DescribeLag),
		IMDS:     time.Duration(s.IMDSLag),
		DataPath: time.Duration(s.DataPathLag),
	}
}

// moment is when something changed and how long each view took to follow.
type moment struct {
	at   time.Time
	lags lags
}

// visible reports whether a view shows the change. A lag that was lowered
// meanwhile helps old changes too; one that was raised never hides what was
// shown before.
func (m moment) visible(v View, now time.Time, current lags) bool {
	return now.Sub(m.at) >= min(m.lags[v], current[v])
}

// settled reports whether all views show the change, whatever the settings.
func (m moment) settled(now time.Time) bool {
	for _, lag := range m.lags {
		if now.Sub(m.at) < lag {
			return false
		}
	}
	return true
}

// change is a value that holds from a moment on.
type change[T any] struct {
	moment
	value T
}

// history is a list of changes, oldest first.
type history[T any] []change[T]

// add appends a change and forgets those that no view needs any more.
func (h history[T]) add(value T, m moment) history[T] {
	h = append(h, change[T]{m, value})
	for i := len(h) - 1; i > 0; i-- {
		if h[i].settled(m.at) {
			return append(history[T](nil), h[i:]...)
		}
	}
	return h
}

// at returns the value that a view shows; the zero value when the view has not
// seen any yet.
func (h history[T]) at(v View, now time.Time, current lags) T {
	for _, c := range slices.Backward(h) {
		if c.visible(v, now, current) {
			return c.value
		}
	}
	var none T
	return none
}

// latest returns the value that holds now.
func (h history[T]) latest() T { return h[len(h)-1].value }
