package dataplane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/pcap"
)

// watchedFrames is how many frames wait for the reader of a capture.
const watchedFrames = 4096

// watcher is one capture under way.
type watcher struct {
	enis   []string // empty for all
	frames chan sighting
}

type sighting struct {
	at    time.Time
	frame []byte
}

// Capture writes a pcap of what passes the cables of the given ENIs, or of all
// without any, until ctx ends or w fails. A frame that one worker sends to
// another shows twice, as sent and, from the router's MAC, as delivered; one
// that was dropped shows once. The capture is complete from when its header is
// written to when ctx ends. The error is w's; the end of ctx is none.
func (p *Plane) Capture(ctx context.Context, w io.Writer, enis ...string) error {
	watch := &watcher{enis: enis, frames: make(chan sighting, watchedFrames)}
	p.mu.Lock()
	p.watchers[watch] = struct{}{}
	p.mu.Unlock()
	leave := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watchers, watch)
	}
	defer leave()
	return watch.write(ctx, bufio.NewWriterSize(w, 1<<16), leave)
}

// write writes frames until ctx ends, and then those that came before leave
// returned.
func (s *watcher) write(ctx context.Context, w *bufio.Writer, leave func()) error {
	out, err := pcap.NewWriter(w)
	for err == nil {
		if len(s.frames) == 0 {
			if err = w.Flush(); err != nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			leave()
			return errors.Join(s.drain(out), w.Flush())
		case seen := <-s.frames:
			err = out.Write(seen.at, seen.frame)
		}
	}
	return err
}

// drain writes what was seen before the end.
func (s *watcher) drain(out *pcap.Writer) error {
	for {
		select {
		case seen := <-s.frames:
			if err := out.Write(seen.at, seen.frame); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// show gives a copy of a frame on an ENI's cable to those who watch. The caller
// holds the lock for reading.
func (p *Plane) show(eni string, frame []byte) {
	for s := range p.watchers {
		if len(s.enis) > 0 && !slices.Contains(s.enis, eni) {
			continue
		}
		select {
		case s.frames <- sighting{p.now(), bytes.Clone(frame)}:
		default:
			p.counts.unwatched()
		}
	}
}
