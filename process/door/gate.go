// Package door bounds what strangers can hold of a server: its connections, the
// bytes of their requests, and the time that they take.
package door

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// patience is how long a connection may take over the next step of a client,
// its handshake, a header or a body, before it counts as slow. Clients that
// mean it need milliseconds.
const patience = time.Second

// Gate bounds the connections of a server whose port strangers reach, and
// decides who goes when there are too many: never one whose request is being
// answered, first those that keep the server waiting, first of the address
// that has most of them. So a client that opens connections and says little loses
// his own, and a client that speaks is served.
type Gate struct {
	limit int
	now   func() time.Time

	mu    sync.Mutex // guards all below, and the connections
	conns map[*conn]struct{}
	shut  int // connections that were closed for the sake of others
}

// NewGate returns a gate that lets limit connections be open at a time.
func NewGate(limit int) *Gate {
	return &Gate{limit: limit, now: time.Now, conns: map[*conn]struct{}{}}
}

// conn is one open connection. While none of its requests is being answered
// the server waits for its client.
type conn struct {
	net.Conn
	gate   *Gate
	source netip.Addr

	answering int       // requests that have been read and are being answered
	idle      bool      // between two requests
	since     time.Time // when the client's present step began
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// Guard makes a server accept through the gate. It returns the listener to
// serve, and sets ConnState and ConnContext of the server.
func (g *Gate) Guard(server *http.Server, listener net.Listener) net.Listener {
	server.ConnState = func(c net.Conn, state http.ConnState) { g.observe(ours(c), state) }
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, ours(c))
	}
	return &guarded{listener, g}
}

type connKey struct{}

// Answering says that a request has been read, so that its connection is left
// alone until the function that it returns is called.
func (g *Gate) Answering(ctx context.Context) (done func()) {
	c, _ := ctx.Value(connKey{}).(*conn)
	if c == nil {
		return func() {}
	}
	g.step(c, func() { c.answering++ })
	return func() { g.step(c, func() { c.answering-- }) }
}

// Source is the address that a request came from, as far as the gate saw it.
func Source(ctx context.Context) netip.Addr {
	if c, _ := ctx.Value(connKey{}).(*conn); c != nil {
		return c.source
	}
	return netip.Addr{}
}

// Open is how many connections there are, and Shut how many were closed for
// the sake of others so far.
func (g *Gate) Open() (open, shut int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns), g.shut
}

// guarded is a listener whose connections pass the gate.
type guarded struct {
	net.Listener
	gate *Gate
}

// Accept implements net.Listener.
func (l *guarded) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.gate.admit(accepted), nil
}

// admit takes a connection in, in place of another one if need be. Where all
// others are being answered it is the new one that is closed.
func (g *Gate) admit(accepted net.Conn) net.Conn {
	g.mu.Lock()
	c := &conn{Conn: accepted, gate: g, source: sourceOf(accepted), since: g.now()}
	g.conns[c] = struct{}{}
	var victim *conn
	if len(g.conns) > g.limit {
		victim = g.victim(c)
		g.shut++
	}
	g.mu.Unlock()
	if victim != nil {
		_ = victim.Close() // its server notices
	}
	return c
}

// victim chooses among all but the new one, which goes when there is no other:
// a slow one if there is any, else one that is not being answered; of the
// address with most of them; of these one that waits for its first answer
// before one that is idle, and the one that has waited longest.
func (g *Gate) victim(newest *conn) *conn {
	var slow, rest []*conn
	for c := range g.conns {
		switch {
		case c == newest || c.answering > 0:
		case !c.idle && g.now().Sub(c.since) > patience:
			slow = append(slow, c)
		default:
			rest = append(rest, c)
		}
	}
	for _, candidates := range [][]*conn{slow, rest} {
		if len(candidates) == 0 {
			continue
		}
		of := map[netip.Addr]int{}
		for _, c := range candidates {
			of[c.source]++
		}
		return slices.MinFunc(candidates, func(a, b *conn) int {
			return cmp.Or(cmp.Compare(of[b.source], of[a.source]), a.source.Compare(b.source),
				cmp.Compare(rank(a), rank(b)), a.since.Compare(b.since))
		})
	}
	return newest
}

// rank orders the connections of one address.
func rank(c *conn) int {
	if c.idle {
		return 1
	}
	return 0
}

// observe follows the states of a connection as net/http tells them.
func (g *Gate) observe(c *conn, state http.ConnState) {
	if c != nil && (state == http.StateActive || state == http.StateIdle) {
		g.step(c, func() { c.idle = state == http.StateIdle })
	}
}

// step begins the next step of a connection.
func (g *Gate) step(c *conn, change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	c.since = g.now()
}

// ours finds the connection below TLS.
func ours(c net.Conn) *conn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	found, _ := c.(*conn)
	return found
}

func sourceOf(c net.Conn) netip.Addr {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap()
}
