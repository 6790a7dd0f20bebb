package probe

import (
	"net/netip"
	"testing"
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
