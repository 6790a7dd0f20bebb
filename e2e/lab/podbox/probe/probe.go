// Package probe measures how long an address is not reached: it asks every 10 ms
// and remembers which questions were answered, and by whom.
package probe

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// Port is where questions are answered, by UDP.
	Port = 7007
	// Every is how often is asked.
	Every = 10 * time.Millisecond
	// Patience is how long an answer may take. It takes 0.5 ms, but workers are
	// slow when they start pods.
	Patience = time.Second
)

// Report says what was lost.
type Report struct {
	To       netip.Addr `json:"to"`
	Began    time.Time  `json:"began"`
	Asked    int        `json:"asked"`
	Answered int        `json:"answered"`
	// Gaps are the spans without answers.
	Gaps []Gap `json:"gaps"`
	// By says who answered, whenever that changed.
	By []Change `json:"by"`
}

// Gap is a span of time in which questions stayed without answer.
type Gap struct {
	// From is when the first such question was asked, To when the next answered
	// one was; without it, when the last question was.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Lost int       `json:"lost"`
	// Open is a gap that has not ended.
	Open bool `json:"open,omitempty"`
}

// Change is another pod than before that answers.
type Change struct {
	Pod   string    `json:"pod"`
	Since time.Time `json:"since"`
}

// Probe asks one address.
type Probe struct {
	conn   net.Conn
	report Report // To and Began
	stop   chan struct{}

	asking, listening sync.WaitGroup

	mu    sync.Mutex
	asked []question
	by    []Change
}

type question struct {
	at       time.Time
	answered bool
}

// Start begins to ask. An invalid from leaves the source to the kernel.
func Start(from netip.Addr, to netip.AddrPort) (*Probe, error) {
	var local *net.UDPAddr
	if from.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	return Ask(conn, to.Addr()), nil
}

// Ask begins to ask an address by a connection that Stop closes, whatever
// network stack it is of.
func Ask(conn net.Conn, to netip.Addr) *Probe {
	p := &Probe{conn: conn, report: Report{To: to, Began: time.Now()}, stop: make(chan struct{})}
	p.asking.Go(p.ask)
	p.listening.Go(p.listen)
	return p
}

// ask asks until Stop. What the kernel refuses to send is lost like any other.
func (p *Probe) ask() {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		p.mu.Lock()
		number := binary.BigEndian.AppendUint64(nil, uint64(len(p.asked)))
		p.asked = append(p.asked, question{at: time.Now()})
		p.mu.Unlock()
		_, _ = p.conn.Write(number)
		select {
		case <-tick.C:
		case <-p.stop:
			return
		}
	}
}

// listen notes answers until the socket closes. A refusal from the other side
// is an error of one read and no end.
func (p *Probe) listen() {
	buffer := make([]byte, 1500)
	for {
		n, err := p.conn.Read(buffer)
		switch {
		case err == nil && n >= numberSize:
			p.note(binary.BigEndian.Uint64(buffer), string(buffer[numberSize:n]), time.Now())
		case isClosed(err), errors.Is(err, io.EOF): // a userspace stack says EOF
			return
		}
	}
}

func (p *Probe) note(number uint64, pod string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if number >= uint64(len(p.asked)) {
		return
	}
	p.asked[number].answered = true
	if len(p.by) == 0 || p.by[len(p.by)-1].Pod != pod {
		p.by = append(p.by, Change{Pod: pod, Since: now})
	}
}

// Report says what was lost so far. Questions that may still be answered are
// left out.
func (p *Probe) Report() Report { return p.until(time.Now().Add(-Patience)) }

// Stop ends the questions, waits for the last answers, and reports.
func (p *Probe) Stop() Report {
	close(p.stop)
	p.asking.Wait() // or one more might be asked, and not waited for
	for p.awaits(time.Now().Add(-Patience)) {
		time.Sleep(Every)
	}
	_ = p.conn.Close()
	p.listening.Wait()
	return p.until(time.Now())
}

// awaits reports whether a question that was asked after settled has no answer
// yet.
func (p *Probe) awaits(settled time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.asked, func(q question) bool { return !q.answered && q.at.After(settled) })
}

func (p *Probe) until(settled time.Time) Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.report
	r.By = append(r.By, p.by...)
	r.Asked, r.Answered, r.Gaps = count(p.asked, settled)
	return r
}

// count finds the gaps among questions. Those that were asked after settled and
// have no answer yet do not count.
func count(asked []question, settled time.Time) (all, answered int, gaps []Gap) {
	open := false
	for _, q := range asked {
		switch last := len(gaps) - 1; {
		case q.answered:
			answered++
			if open {
				gaps[last].To, gaps[last].Open, open = q.at, false, false
			}
		case q.at.After(settled):
			continue
		case open:
			gaps[last].To = q.at
			gaps[last].Lost++
		default:
			open = true
			gaps = append(gaps, Gap{From: q.at, To: q.at, Lost: 1, Open: true})
		}
		all++
	}
	return all, answered, gaps
}
