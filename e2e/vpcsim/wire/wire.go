// Package wire is the cable between a worker and the VPC: a unix socket of type
// SOCK_SEQPACKET ("unixpacket") on which each message is one bare Ethernet
// frame. User-Mode Linux calls this transport "bess". It knows nothing of what
// the frames hold.
package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// queueFrames is how many frames wait for a slow worker before more are
	// lost, as in the ring of a network card.
	queueFrames = 1024
	// frameBytes holds the largest frame; what is longer is cut.
	frameBytes = 1 << 16
	// pathBytes is the longest path of a unix socket on Linux.
	pathBytes = 107
	// acceptPause follows a failure to accept, such as too many open files.
	acceptPause = 50 * time.Millisecond
)

// The errors of [Port.Send].
var (
	ErrUnplugged = errors.New("no worker is connected")
	ErrFull      = errors.New("the worker does not take frames fast enough")
)

// Port is the VPC's end. A worker that connects again, as after a link went down
// and up, takes the place of its former connection. It is safe for concurrent
// use.
type Port struct {
	listener *net.UnixListener
	receive  func(frame []byte)
	running  sync.WaitGroup

	mu     sync.Mutex
	worker *cable // nil while none is connected
	closed bool
}

// cable is one connection of a worker.
type cable struct {
	conn *net.UnixConn
	out  chan []byte
	gone chan struct{} // closed when the connection ended
}

// Listen opens a socket at path and calls receive for each frame that arrives,
// one after the other; the frame is valid until receive returns. A socket that
// a dead process left behind is replaced. The error says when the path is too
// long or another process listens there.
func Listen(path string, receive func(frame []byte)) (*Port, error) {
	if len(path) > pathBytes {
		return nil, fmt.Errorf("socket %s: path of %d bytes, at most %d are possible; choose a shorter directory",
			path, len(path), pathBytes)
	}
	if err := vacate(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unixpacket", address(path))
	if err != nil {
		return nil, err
	}
	p := &Port{listener: l, receive: receive}
	p.running.Go(p.accept)
	return p, nil
}

func address(path string) *net.UnixAddr { return &net.UnixAddr{Name: path, Net: "unixpacket"} }

// vacate removes a socket on which nobody listens.
func vacate(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket; remove it", path)
	}
	if conn, err := net.DialUnix("unixpacket", nil, address(path)); err == nil {
		return errors.Join(fmt.Errorf("another process listens on %s; stop it or choose another directory", path), conn.Close())
	}
	return os.Remove(path)
}

func (p *Port) accept() {
	for {
		conn, err := p.listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(acceptPause)
		default:
			p.connect(conn)
		}
	}
}

// connect makes conn the worker's connection.
func (p *Port) connect(conn *net.UnixConn) {
	next := &cable{conn: conn, out: make(chan []byte, queueFrames), gone: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = conn.Close()
		return
	}
	if p.worker != nil {
		_ = p.worker.conn.Close()
	}
	p.worker = next
	p.running.Go(next.write)
	p.running.Go(func() {
		next.read(p.receive)
		p.disconnect(next)
	})
}

// disconnect forgets a connection that ended, unless another took its place.
func (p *Port) disconnect(old *cable) {
	_ = old.conn.Close()
	close(old.gone)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worker == old {
		p.worker = nil
	}
}

func (c *cable) read(receive func([]byte)) {
	buffer := make([]byte, frameBytes)
	for {
		n, err := c.conn.Read(buffer)
		if err != nil {
			return
		}
		receive(buffer[:n])
	}
}

// write ends the connection when it fails: then the other end is gone.
func (c *cable) write() {
	for {
		select {
		case frame := <-c.out:
			if _, err := c.conn.Write(frame); err != nil {
				_ = c.conn.Close()
				return
			}
		case <-c.gone:
			return
		}
	}
}

// Send queues a frame, which must not be changed afterwards, and never waits.
// The error is [ErrUnplugged] or [ErrFull], and then the frame is lost.
func (p *Port) Send(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worker == nil {
		return ErrUnplugged
	}
	select {
	case p.worker.out <- frame:
		return nil
	default:
		return ErrFull
	}
}

// Connected reports whether a worker is connected.
func (p *Port) Connected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.worker != nil
}

// Close removes the socket, ends the connection and waits until receive is not
// called any more.
func (p *Port) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.worker != nil {
		_ = p.worker.conn.Close()
	}
	p.mu.Unlock()
	err := p.listener.Close()
	p.running.Wait()
	return err
}
