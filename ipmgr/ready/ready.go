// Package ready lets one process of the pod ask another whether the pod holds
// all its addresses: "ipmgr ready", the startup probe, asks "ipmgr sidecar".
//
// They meet on an abstract unix socket. Its name belongs to the network
// namespace, which the containers of a pod share, so it needs no volume and no
// writable file system, and it cannot outlive its process.
package ready

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

const (
	socket = "@multus-ipmgr"
	yes    = "ready"
	// patience bounds one question; the answer is in memory.
	patience = 2 * time.Second
	// rebind is the pause before the socket is tried again when another
	// process of the namespace holds it.
	rebind   = time.Second
	maxReply = 64 << 10
)

// Serve answers until ctx ends. Status is nil when the pod is ready, and
// otherwise says what is missing.
func Serve(ctx context.Context, log *slog.Logger, status func() error) {
	known := ""
	for ctx.Err() == nil {
		if err := listen(ctx, status); err != nil && err.Error() != known {
			log.Error("readiness cannot be served, will be retried", "error", err)
			known = err.Error()
		}
		select {
		case <-time.After(rebind):
		case <-ctx.Done():
		}
	}
}

func listen(ctx context.Context, status func() error) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("is a second ipmgr running in this pod? %w", err)
	}
	defer func() { _ = listener.Close() }() // at the latest when listen returns
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			answer(conn, status())
		case ctx.Err() != nil:
			return nil
		default:
			return err
		}
	}
}

func answer(conn net.Conn, err error) {
	defer func() { _ = conn.Close() }()
	reply := yes
	if err != nil {
		reply = err.Error()
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, reply) // a prober that left learns nothing, and needs nothing
}

// Ask returns nil when the pod holds all its addresses. The error says what is
// missing, or that no sidecar answers.
func Ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("no ipmgr sidecar answers in this pod: %w", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	reply, err := io.ReadAll(io.LimitReader(conn, maxReply))
	if err != nil {
		return fmt.Errorf("the ipmgr sidecar did not answer: %w", err)
	}
	if string(reply) != yes {
		return errors.New(string(reply))
	}
	return nil
}
