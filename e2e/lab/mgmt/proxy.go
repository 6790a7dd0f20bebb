package mgmt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Dialer opens a connection.
type Dialer func(context.Context) (net.Conn, error)

// dialTimeout bounds how long a connection may take to open.
const dialTimeout = 10 * time.Second

// Forward joins each connection that l accepts with one that dial opens, until
// l is closed.
func Forward(ctx context.Context, l net.Listener, dial Dialer) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			other, err := dial(ctx)
			if err != nil {
				_ = conn.Close()
				return
			}
			join(conn, other)
		}()
	}
}

// Resolver says where connections to an address really go, as kube-proxy does
// for Services.
type Resolver func(context.Context, netip.AddrPort) (netip.AddrPort, error)

// ServeConnect is an HTTP proxy that knows the method CONNECT, as the API
// server's egress selector speaks it: the way into the workers' network. Hosts
// must be addresses. It serves until l is closed.
func (n *Network) ServeConnect(ctx context.Context, l net.Listener, resolve Resolver) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go n.connect(ctx, conn, resolve)
	}
}

func (n *Network) connect(ctx context.Context, conn net.Conn, resolve Resolver) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	reader := bufio.NewReader(conn)
	other, err := n.dialFor(ctx, reader, resolve)
	if err != nil {
		fmt.Fprintf(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(err.Error()), err)
		_ = conn.Close()
		return
	}
	fmt.Fprint(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	join(buffered{conn, reader}, other)
}

func (n *Network) dialFor(ctx context.Context, r *bufio.Reader, resolve Resolver) (net.Conn, error) {
	request, err := http.ReadRequest(r)
	if err != nil {
		return nil, err
	}
	if request.Method != http.MethodConnect {
		return nil, fmt.Errorf("method %s: want CONNECT", request.Method)
	}
	to, err := netip.ParseAddrPort(request.Host)
	if err != nil {
		return nil, err
	}
	if to, err = resolve(ctx, to); err != nil {
		return nil, err
	}
	return n.Dial(ctx, to)
}

// buffered is a connection of which a reader has read ahead.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

// Read implements io.Reader.
func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// join copies both ways until both have ended.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { pour(a, b) })
	both.Go(func() { pour(b, a) })
	both.Wait()
	_ = a.Close()
	_ = b.Close()
}

// pour copies to the end of from and passes it on.
func pour(to, from net.Conn) {
	_, _ = io.Copy(to, from) // a broken connection is an end
	if b, ok := to.(buffered); ok {
		to = b.Conn
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
}
