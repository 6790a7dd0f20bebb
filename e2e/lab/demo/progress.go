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

// progress passes on the first line, and then the latest one each time that a
// while is over, so that neither silence nor noise tries the reader.
type progress struct {
	out io.Writer

	mu      sync.Mutex
	part    []byte // a line that is not complete
	latest  []byte // the line that waits
	waiting bool   // a line was told less than pace ago
	closed  bool
}

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
		p.latest, p.part = line, rest
		if !p.waiting {
			p.tell()
		}
	}
}

// tell tells the latest line.
func (p *progress) tell() {
	if !p.closed {
		fmt.Fprintf(p.out, "     %s\n", p.latest)
	}
	p.latest, p.waiting = nil, true
	time.AfterFunc(pace, p.goOn)
}

// goOn tells what has come meanwhile.
func (p *progress) goOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
	if p.latest != nil && !p.closed {
		p.tell()
	}
}

// close ends it: what waits is not told any more.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}
