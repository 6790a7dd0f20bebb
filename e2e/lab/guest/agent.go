package guest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Dialer connects to an address of the workers' network, and so to the agent that
// runs in each worker, see guestinit.
type Dialer func(context.Context, netip.AddrPort) (net.Conn, error)

// Run runs a command in the worker of an address. Its output, with what it
// writes to standard error, goes to out; the error says how it ended.
func (dial Dialer) Run(ctx context.Context, worker netip.Addr, in io.Reader, out io.Writer, args ...string) error {
	at := netip.AddrPortFrom(worker, AgentPort)
	transport := &http.Transport{
		DisableKeepAlives: true, // a worker may end at any time
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, at) },
	}
	query := url.Values{"arg": args}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+at.String()+"/run?"+query.Encode(), in)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("ask the worker: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(out, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New("the worker answers " + response.Status)
	}
	if exit := response.Trailer.Get("Exit"); exit != "ok" {
		return fmt.Errorf("%s: %s", strings.Join(args, " "), exit)
	}
	return nil
}

// By returns a dialer that goes through the HTTP proxy on a unix socket.
func By(proxy string) Dialer {
	return func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", proxy)
		if err != nil {
			return nil, err
		}
		if err := connect(conn, to); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
}

// connect asks a proxy for a connection. The proxy sends nothing of its own
// after the header.
func connect(conn net.Conn, to netip.AddrPort) error {
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to); err != nil {
		return err
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // the status is there without
		return fmt.Errorf("%s: %s", response.Status, why)
	}
	if reader.Buffered() > 0 {
		return errors.New("the proxy has sent more than its answer")
	}
	return nil
}
