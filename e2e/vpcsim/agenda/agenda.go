// Package agenda is what will happen in the simulated world by itself: an
// instance comes up, a hook runs out, an event is delivered. It goes by the
// simulator's clock, whatever that is.
package agenda

import (
	"container/heap"
	"sync"
	"time"
)

// Max is how many things can be planned at once. What is planned beyond that
// never happens.
const Max = 100_000

// Agenda carries out what is planned in the order of its time, one after the
// other. The zero value is not usable; call [New].
type Agenda struct {
	now   func() time.Time
	sleep func(time.Duration, <-chan struct{})

	running sync.Mutex // held while something is carried out

	mu     sync.Mutex
	items  items
	added  int
	wake   chan struct{} // closed when something earlier is planned; nil while nobody waits
	closed bool
	done   sync.WaitGroup
}

// New returns an empty agenda. sleep waits for a time or until the channel is
// closed.
func New(now func() time.Time, sleep func(time.Duration, <-chan struct{})) *Agenda {
	return &Agenda{now: now, sleep: sleep}
}

// After plans do for a time from now. It is called by one goroutine at a time
// and may plan more, but must not call [Agenda.Run].
func (a *Agenda) After(d time.Duration, do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.items) >= Max {
		return
	}
	at := a.now().Add(max(d, 0))
	earlier := len(a.items) == 0 || at.Before(a.items[0].at)
	a.added++
	heap.Push(&a.items, item{at, a.added, do})
	switch {
	case a.wake == nil: // nobody waits while nothing is planned
		a.wake = make(chan struct{})
		a.done.Go(a.follow)
	case earlier:
		close(a.wake)
		a.wake = make(chan struct{})
	}
}

// Run carries out what is due. When it returns, nothing that is due is left
// undone, so that callers who look at the world after it see the present.
func (a *Agenda) Run() {
	a.running.Lock()
	defer a.running.Unlock()
	for do := a.due(); do != nil; do = a.due() {
		do()
	}
}

// due takes out the next thing whose time has come.
func (a *Agenda) due() func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.items) == 0 || a.items[0].at.After(a.now()) {
		return nil
	}
	first := a.items[0]
	heap.Pop(&a.items)
	return first.do
}

// follow waits and carries out until nothing is planned.
func (a *Agenda) follow() {
	for {
		d, wake := a.next()
		if wake == nil {
			return
		}
		if d > 0 {
			a.sleep(d, wake)
		}
		a.Run()
	}
}

// next returns how long to wait, or no channel when there is nothing to wait
// for.
func (a *Agenda) next() (time.Duration, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.items) == 0 {
		a.wake = nil
		return 0, nil
	}
	return a.items[0].at.Sub(a.now()), a.wake
}

// Close forgets what is planned and waits until what is being carried out has
// ended.
func (a *Agenda) Close() {
	a.mu.Lock()
	a.closed, a.items = true, nil
	if a.wake != nil {
		close(a.wake)
		a.wake = make(chan struct{}) // a channel that nobody has closed, for the next look
	}
	a.mu.Unlock()
	a.done.Wait()
}

// item is one thing that is planned; number keeps those of one time in the
// order in which they were planned.
type item struct {
	at     time.Time
	number int
	do     func()
}

// items implements heap.Interface.
type items []item

// Len implements heap.Interface.
func (l *items) Len() int { return len(*l) }

// Less implements heap.Interface.
func (l *items) Less(i, j int) bool {
	a, b := (*l)[i], (*l)[j]
	if !a.at.Equal(b.at) {
		return a.at.Before(b.at)
	}
	return a.number < b.number
}

// Swap implements heap.Interface.
func (l *items) Swap(i, j int) { (*l)[i], (*l)[j] = (*l)[j], (*l)[i] }

// Push implements heap.Interface.
func (l *items) Push(v any) {
	if i, ok := v.(item); ok {
		*l = append(*l, i)
	}
}

// Pop implements heap.Interface.
func (l *items) Pop() any {
	last := len(*l) - 1
	v := (*l)[last]
	(*l)[last] = item{}
	*l = (*l)[:last]
	return v
}
