package probe

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAGapLastsFromItsFirstLostQuestionToTheNextAnsweredOne(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(0, 0).Add(time.Duration(n) * Every) }
	asked := func(pattern string) (list []question) {
		for i, c := range pattern {
			list = append(list, question{at: at(i), answered: c == '+'})
		}
		return list
	}
	for name, c := range map[string]struct {
		pattern       string
		settled       int
		all, answered int
		want          []Gap
	}{
		"nothing lost":                       {"++++", 9, 4, 4, nil},
		"one gap":                            {"+---+", 9, 5, 2, []Gap{{From: at(1), To: at(4), Lost: 3}}},
		"two gaps":                           {"-+--+", 9, 5, 2, []Gap{{From: at(0), To: at(1), Lost: 1}, {From: at(2), To: at(4), Lost: 2}}},
		"a gap that lasts":                   {"+---", 9, 4, 1, []Gap{{From: at(1), To: at(3), Lost: 3, Open: true}}},
		"questions that may be answered yet": {"++--", 1, 2, 2, nil},
		"an answer that overtakes an earlier one": {"+-+-", 0, 2, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			all, answered, gaps := count(asked(c.pattern), at(c.settled))
			if diff := cmp.Diff(c.want, gaps); diff != "" || all != c.all || answered != c.answered {
				t.Errorf("%d of %d answered, want %d of %d; gaps (-want +got):\n%s", answered, all, c.answered, c.all, diff)
			}
		})
	}
}

func TestStopWaitsForAnswersThatLaterOnesOvertook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		p := Ask(pipe{near}, netip.MustParseAddr("10.10.1.98"))
		go func() {
			for number := make([]byte, numberSize); ; {
				if _, err := io.ReadFull(far, number); err != nil {
					return
				}
				slow := time.Duration(1-number[numberSize-1]%2) * Patience / 2
				answer := append(slices.Clone(number), "upf-0"...)
				time.AfterFunc(slow, func() { _, _ = far.Write(answer) })
			}
		}()
		time.Sleep(2*Patience + 3*Every/2) // the last question has its answer, the one before it has not
		if r := p.Stop(); r.Answered != r.Asked || len(r.Gaps) > 0 {
			t.Errorf("report %+v, want an answer to each question", r)
		}
	})
}

// pipe closes as sockets do.
type pipe struct{ net.Conn }

func (p pipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = net.ErrClosed
	}
	return n, err
}

func TestAnAddressThatStopsAnsweringLeavesAGapAndTellsWhoCameAfter(t *testing.T) {
	for name, address := range map[string]string{"IPv4": "127.0.0.2", "IPv6": "::1"} {
		t.Run(name, func(t *testing.T) {
			to := netip.MustParseAddr(address)
			first, err := Listen(t.Context(), "upf-0", 0)
			if err != nil {
				t.Skip("no such family here: ", err)
			}
			index := 0
			if to.Is6() {
				index = 1
			}
			port := netip.MustParseAddrPort(first.conns[index].LocalAddr().String()).Port()
			p, err := Start(netip.Addr{}, netip.AddrPortFrom(to, port))
			if err != nil {
				t.Fatal(err)
			}
			answers(t, p, "upf-0")
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			lost(t, p)
			second, err := Listen(t.Context(), "upf-1", int(port))
			if err != nil {
				t.Fatal(err)
			}
			answers(t, p, "upf-1")
			r := p.Stop()
			if err := second.Close(); err != nil {
				t.Error(err)
			}
			var pods []string
			for _, c := range r.By {
				pods = append(pods, c.Pod)
			}
			if diff := cmp.Diff([]string{"upf-0", "upf-1"}, pods); diff != "" || len(r.Gaps) == 0 || r.To != to {
				t.Errorf("report %+v; answered by (-want +got):\n%s", r, diff)
			}
		})
	}
}

// answers waits until a pod answers.
func answers(t *testing.T, p *Probe, pod string) {
	t.Helper()
	await(t, func() bool {
		by := p.Report().By
		return len(by) > 0 && by[len(by)-1].Pod == pod
	})
}

// lost waits until questions are lost.
func lost(t *testing.T, p *Probe) {
	t.Helper()
	await(t, func() bool { return len(p.Report().Gaps) > 0 })
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(Every) {
		if time.Now().After(deadline) {
			t.Fatal("not within 20 s")
		}
	}
}
