package control

import (
	"context"
	"fmt"
	"net/http"
)

// getPcap streams what passes the cables, of the ENIs that the query names as
// eni=ID or of all, until the caller hangs up or the simulator ends.
func (c *Control) getPcap(w http.ResponseWriter, r *http.Request) {
	enis := r.URL.Query()["eni"]
	for _, id := range enis {
		if _, err := c.World.ENI(id); err != nil {
			refuse(w, fmt.Errorf("pcap: %w", err))
			return
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-c.Closing:
		case <-ctx.Done():
		}
	}()
	w.Header().Set("Content-Type", "application/vnd.tcpdump.pcap")
	_ = c.DataPlane.Capture(ctx, flushed{w, http.NewResponseController(w)}, enis...) // the caller is gone
}

// flushed sends at once what is written.
type flushed struct {
	http.ResponseWriter
	*http.ResponseController
}

// Write implements io.Writer.
func (f flushed) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err != nil {
		return n, err
	}
	return n, f.Flush()
}
