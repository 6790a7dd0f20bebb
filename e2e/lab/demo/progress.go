package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// pace is how often progress is told.
const pace = 10 * time.Second

// progress passes on the first line, and then what is new after a while, so
// that neither silence nor noise tries the reader.
type progress struct {
	out io.Writer
	now func() time.Time

	mu   sync.Mutex
	part []byte // a line that is not complete
	told time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, now: time.Now} }

// Write takes lines, whole or in parts. It never fails: nobody should stop for
// want of a reader.
func (p *progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part = append(p.part, text...)
	for {
		line, rest, whole := bytes.Cut(p.part, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		if now := p.now(); now.Sub(p.told) >= pace {
			p.told = now
			fmt.Fprintf(p.out, "     %s\n", line)
		}
		p.part = rest
	}
}
