// Package outage lets an HTTP service fail below HTTP: no answer at all, or a
// connection that is cut.
package outage

import (
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

// ErrClosed ends what waits when the simulator closes.
var ErrClosed = errors.New("the simulator is closed")

// Handle treats a request as the health of its service demands and reports
// whether that was all; a service that is up still has to answer.
func Handle(w http.ResponseWriter, r *http.Request, h settings.Health, closing <-chan struct{}) bool {
	switch h {
	case settings.Down:
		Hang(w, r, closing)
	case settings.Refused:
		Cut(w)
	case settings.Failing:
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
	case settings.Off:
		http.Error(w, "Forbidden", http.StatusForbidden)
	default:
		return false
	}
	return true
}

// Hang answers nothing until the caller gives up or the simulator closes.
func Hang(w http.ResponseWriter, r *http.Request, closing <-chan struct{}) {
	_, _ = io.Copy(io.Discard, r.Body) // the server notices that the caller left only after the body
	select {
	case <-r.Context().Done():
	case <-closing:
	}
	Cut(w)
}

// Cut ends the connection without an answer, by a TCP reset where that is
// possible. It may panic with [http.ErrAbortHandler], which the server of
// net/http turns into the same.
func Cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the peer sees a clean end instead of a reset
	}
	_ = conn.Close() // nothing is left to be done about an error
}
