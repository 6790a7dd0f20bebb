package door

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes from any address.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes { return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects from an address.
func (p *pipes) dial(from string) net.Conn {
	server, client := net.Pipe()
	p.accepted <- named{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 1))}
	return client
}

// named is a connection with the address of its client.
type named struct {
	net.Conn
	remote net.Addr
}

func (n named) RemoteAddr() net.Addr { return n.remote }

// house is a server behind a gate, in a bubble of its own time.
type house struct {
	*pipes
	gate *Gate
	held chan struct{} // if set, answers wait for it
}

func newHouse(t *testing.T, limit int) *house {
	t.Helper()
	h := &house{pipes: newPipes(), gate: NewGate(limit)}
	server := NewServer(http.HandlerFunc(h.answer), slog.New(slog.DiscardHandler))
	listener := h.gate.Guard(server, h.pipes)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return h
}

func (h *house) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	answered := h.gate.Answering(r.Context())
	if h.held != nil {
		<-h.held
	}
	answered()
	_, _ = fmt.Fprintf(w, "%d from %s", len(body), Source(r.Context()))
}

// ask sends a request over a connection and returns the answer.
func ask(c net.Conn) (string, error) {
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// gone reports whether the server has closed a connection.
func gone(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := c.Read(make([]byte, 1))
	_ = c.SetReadDeadline(time.Time{})
	return errors.Is(err, io.EOF)
}

func count(conns []net.Conn) (closed int) {
	for _, c := range conns {
		if gone(c) {
			closed++
		}
	}
	return closed
}

const honest, stranger = "10.0.0.1", "10.0.9.9"

func TestAClientThatSpeaksIsServedBesideThousandsThatDoNot(t *testing.T) {
	const limit = 16
	for _, c := range []struct {
		name  string
		says  string // by each of the strangers' connections
		pause time.Duration
	}{
		{name: "connections that say nothing"},
		{name: "a header that does not end", says: "POST / HTTP/1.1\r\n"},
		{name: "a body that does not come", says: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"},
		{name: "slow ones", says: "POST / HTTP/1.1\r\n", pause: 2 * patience},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, limit)
				kept := h.dial(honest)
				if got, err := ask(kept); err != nil || got != "5 from 10.0.0.1" {
					t.Fatalf("answer %q, error %v", got, err)
				}
				var idlers []net.Conn
				for i := range 3000 {
					idler := h.dial(stranger)
					idlers = append(idlers, idler)
					_, _ = io.WriteString(idler, c.says)
					synctest.Wait()
					if open, _ := h.gate.Open(); open > limit {
						t.Fatalf("%d connections are open, want at most %d", open, limit)
					}
					if i%500 == 0 {
						time.Sleep(c.pause)
						if got, err := ask(h.dial(honest)); err != nil || got != "5 from 10.0.0.1" {
							t.Fatalf("beside %d strangers: answer %q, error %v", i+1, got, err)
						}
					}
				}
				if _, err := ask(kept); err != nil {
					t.Errorf("the connection that was idle meanwhile: %v", err)
				}
				if closed := count(idlers); closed < len(idlers)-limit {
					t.Errorf("%d of %d strangers were closed", closed, len(idlers))
				}
			})
		})
	}
}

func TestWhoGoesWhenThereAreTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, 4)
		idle := h.dial(honest)
		if _, err := ask(idle); err != nil {
			t.Fatal(err)
		}
		slow := h.dial(stranger)
		time.Sleep(2 * patience)
		fresh, freshToo := h.dial("10.0.0.2"), h.dial("10.0.0.3")
		steps := []struct {
			name   string
			closed net.Conn
		}{
			{"a slow one before one that is idle and those that came a moment ago", slow},
			{"of two addresses with as many, the lower one's: it is all the same", idle},
			{"and then the next", fresh},
		}
		for i, step := range steps {
			late := h.dial(fmt.Sprintf("10.0.1.%d", i))
			t.Cleanup(func() { late.Close() })
			synctest.Wait()
			if !gone(step.closed) {
				t.Errorf("%s: it stays", step.name)
			}
		}
		if gone(freshToo) {
			t.Error("one more than necessary was closed")
		}
		if _, shut := h.gate.Open(); shut != len(steps) {
			t.Errorf("%d were closed for others, want %d", shut, len(steps))
		}
	})
}

func TestOneThatIsBeingAnsweredIsNotClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, 2)
		h.held = make(chan struct{})
		answers := make(chan error, 2)
		for range 2 {
			c := h.dial(stranger)
			go func() {
				_, err := ask(c)
				answers <- err
			}()
		}
		synctest.Wait()
		time.Sleep(2 * patience)
		if late := h.dial(honest); !gone(late) {
			t.Error("a third one is open beside two that are being answered")
		}
		close(h.held)
		for range 2 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestDeadlinesEndWhatAClientDoesNotFinish(t *testing.T) {
	for _, c := range []struct {
		name, says string
		within     time.Duration
	}{
		{"no header", "", headerTimeout},
		{"half a header", "POST / HTTP/1.1\r\nHost: h\r\n", headerTimeout},
		{"half a body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhe", requestTimeout},
		{"a header without end", "POST / HTTP/1.1\r\nX: " + strings.Repeat("x", 2*maxHeader), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, 4)
				client := h.dial(stranger)
				go func() { _, _ = io.Copy(io.Discard, client) }() // what it answers
				_, _ = io.WriteString(client, c.says)
				time.Sleep(c.within + time.Second)
				synctest.Wait()
				if open, _ := h.gate.Open(); open != 0 {
					t.Errorf("%d connections are open after %s", open, c.within)
				}
			})
		})
	}
}

func TestBodiesInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBodies(32, 100)
		from := func(address string) (context.Context, context.CancelFunc) {
			ctx := context.WithValue(t.Context(), connKey{}, &conn{source: netip.MustParseAddr(address)})
			return context.WithTimeout(ctx, time.Second)
		}
		try := func(ctx context.Context, n int64) func() {
			release, err := b.Acquire(ctx, n)
			if err != nil {
				return nil
			}
			return release
		}
		bad, cancel := from(stranger)
		defer cancel()
		first := try(bad, 50)
		if first == nil || try(bad, 20) == nil {
			t.Fatal("half of the room, and the connection's own, are refused")
		}
		if second := try(bad, 20); second != nil {
			t.Error("one address holds more than half of the room")
		}
		good, cancelGood := from(honest) // its second begins when the stranger's is over
		defer cancelGood()
		if release := try(good, 50); release == nil {
			t.Error("another address gets nothing")
		} else {
			release()
		}
		first()
		again, cancelAgain := from(stranger)
		defer cancelAgain()
		if release := try(again, 50); release == nil {
			t.Error("what was given back is not there")
		} else {
			release()
		}
		if len(b.sources) != 0 {
			t.Errorf("%d addresses are remembered", len(b.sources))
		}
	})
}

// Two addresses may fill the room. A third one waits until there is some again,
// and so does one of the two for its own share.
func TestBodiesWaitForRoom(t *testing.T) {
	for _, c := range []struct {
		name, source string // of the one that waits
	}{
		{"for what others hold", "10.0.0.3"},
		{"for its own share", stranger},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBodies(0, 100)
				acquire := func(source string, n int64) (release func()) {
					from := context.WithValue(t.Context(), connKey{}, &conn{source: netip.MustParseAddr(source)})
					ctx, cancel := context.WithTimeout(from, time.Minute)
					defer cancel()
					release, err := b.Acquire(ctx, n)
					if err != nil {
						return nil
					}
					return release
				}
				ends, stays, others := acquire(stranger, 25), acquire(stranger, 25), acquire(honest, 50)
				waits := make(chan func(), 1)
				go func() { waits <- acquire(c.source, 25) }()
				synctest.Wait()
				if len(waits) > 0 {
					t.Error("125 bytes are held in a room for 100")
				}
				ends()
				if late := <-waits; late == nil {
					t.Error("what was given back is not there for the one who waits")
				} else {
					late()
				}
				stays()
				others()
				if len(b.sources) != 0 {
					t.Errorf("%d addresses are remembered", len(b.sources))
				}
			})
		})
	}
}
