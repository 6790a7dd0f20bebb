package door

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Bodies bounds the bytes of all requests that are held at a time. Each
// connection has a few of its own, enough for ordinary requests, so that these
// wait for nobody; longer requests share one room. One address gets no more
// than half of it, so that it cannot keep others waiting.
type Bodies struct {
	own, room int64
	all       *semaphore.Weighted

	mu      sync.Mutex // guards used and sources
	used    map[*conn]int64
	sources map[netip.Addr]*share
}

// share is what one address holds of the room, while it holds or waits for
// something.
type share struct {
	held  *semaphore.Weighted
	users int
}

// NewBodies returns a bound of own bytes for each connection of a Gate and of
// room bytes for what is longer.
func NewBodies(own, room int64) *Bodies {
	return &Bodies{own: own, room: room, all: semaphore.NewWeighted(room), used: map[*conn]int64{}, sources: map[netip.Addr]*share{}}
}

// Acquire waits until the request with the context ctx may hold n bytes, which
// must not be more than half of the room, and returns what gives them back.
func (b *Bodies) Acquire(ctx context.Context, n int64) (release func(), err error) {
	c, _ := ctx.Value(connKey{}).(*conn)
	if c != nil && b.take(c, n) {
		return func() { b.take(c, -n) }, nil
	}
	source := Source(ctx)
	own := b.join(source)
	if err := own.held.Acquire(ctx, n); err != nil {
		b.leave(source, own)
		return nil, err
	}
	if err := b.all.Acquire(ctx, n); err != nil {
		own.held.Release(n)
		b.leave(source, own)
		return nil, err
	}
	return func() {
		b.all.Release(n)
		own.held.Release(n)
		b.leave(source, own)
	}, nil
}

// take takes n bytes of a connection's own, or gives -n back.
func (b *Bodies) take(c *conn, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	used := b.used[c] + n
	if used > b.own {
		return false
	}
	if b.used[c] = used; used == 0 {
		delete(b.used, c)
	}
	return true
}

func (b *Bodies) join(source netip.Addr) *share {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sources[source]
	if s == nil {
		s = &share{held: semaphore.NewWeighted(b.room / 2)}
		b.sources[source] = s
	}
	s.users++
	return s
}

func (b *Bodies) leave(source netip.Addr, s *share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.users--
	if s.users == 0 {
		delete(b.sources, source)
	}
}
