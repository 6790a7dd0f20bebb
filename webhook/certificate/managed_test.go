package certificate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReplicasRenewTheirCertificateAndNoCallFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a, b := m.start(t, settings()), m.start(t, settings())
		time.Sleep(lag)
		m.pass(t, 8*period+period/2, a, b)
		if all := m.stored(t); len(all) != keep || all[2].number < 8 {
			t.Errorf("%d certificates, the last is number %d; a new one is due every 7 minutes", len(all), all[len(all)-1].number)
		}
		newest := m.stored(t)[keep-1]
		for _, r := range []*replica{a, b} {
			r.shows(t, newest.number)
			if !r.ends.Equal(newest.ends()) {
				t.Errorf("it was said to end at %s, want %s", r.ends, newest.ends())
			}
			if err := r.Ready(); err != nil || strings.Contains(r.log.String(), "level=ERROR") {
				t.Errorf("ready: %v\n%s", err, &r.log)
			}
		}
	})
}

func TestReplicasThatBeginTogetherAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		replicas := []*replica{}
		for range 5 {
			r := &replica{Managed: newManaged(settings(), m, time.Now, discard(), func(time.Time) {})}
			replicas = append(replicas, r)
			begin(t.Context(), t, r)
		}
		time.Sleep(settings().Interval + lag)
		m.pass(t, time.Minute, replicas...)
		if all := m.stored(t); len(all) != 1 {
			t.Errorf("%d certificates", len(all))
		}
	})
}

// A certificate is shown a while after its authority is known, also by replicas
// that start meanwhile.
func TestNewCertificatesWaitUntilTheirAuthorityIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), settings()
		a := m.start(t, s)
		time.Sleep(lag)
		m.pass(t, period+s.Interval, a)
		if all := m.stored(t); len(all) != 2 {
			t.Fatalf("%d certificates, want 2", len(all))
		}
		b := m.start(t, s)
		a.shows(t, 1)
		b.shows(t, 1)
		m.pass(t, s.Overlap+2*s.Interval, a, b)
		a.shows(t, 2)
		b.shows(t, 2)
	})
}

// Whichever replica's clock goes wrong, however far: API servers judge by theirs.
func TestClocksThatJumpFailNoCall(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, jump := range map[string][2]time.Duration{
		"one ahead": {0, year}, "one behind": {0, -year}, "both ahead": {year, year}, "both behind": {-4 * time.Minute, -4 * time.Minute},
		"apart": {-year, year}, "minutes apart": {0, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				a, b := m.start(t, settings()), m.start(t, settings())
				time.Sleep(lag)
				m.pass(t, period+3*time.Minute, a, b)
				a.ahead.Store(int64(jump[0]))
				b.ahead.Store(int64(jump[1]))
				m.pass(t, 5*time.Minute, a, b)
				a.ahead.Store(0)
				b.ahead.Store(0)
				m.pass(t, 3*period, a, b)
				if m.versions > 40 {
					t.Errorf("%d writes: the replicas do not agree", m.versions)
				}
				if all := m.stored(t); len(all) > 5 || a.serving.number != b.serving.number {
					t.Errorf("%d certificates; shown are %d and %d", len(all), a.serving.number, b.serving.number)
				}
				for _, r := range []*replica{a, b} {
					if err := r.Ready(); err != nil {
						t.Errorf("ready: %v", err)
					}
				}
			})
		})
	}
}

// Replicas of which one's clock was wrong before there was a certificate.
func TestAWrongClockAtTheBeginningIsOvercome(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": 365 * 24 * time.Hour, "behind": -365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				a := &replica{}
				a.ahead.Store(int64(ahead))
				a.Managed = newManaged(settings(), m, a.clock, discard(), func(time.Time) {})
				begin(t.Context(), t, a)
				synctest.Wait()
				b := m.start(t, settings())
				time.Sleep(settings().Overlap + 2*settings().Interval)
				m.pass(t, 3*period, a, b)
			})
		})
	}
}

func TestWhatSomeoneDoesToTheObjectsIsMended(t *testing.T) {
	foreign, err := issue(1, []string{"other.example"}, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(m *memory){
		"the authorities are removed":          func(m *memory) { m.fill(nil) },
		"the authorities are replaced":         func(m *memory) { m.fill(certificatePEM(foreign.authority)) },
		"the authorities are no PEM":           func(m *memory) { m.fill([]byte("no PEM")) },
		"the Secret is emptied":                func(m *memory) { m.replace(map[string][]byte{}) },
		"another installation's Secret is put": func(m *memory) { m.replace(generations{foreign}.encode()) },
		"the Secret's entries are broken": func(m *memory) {
			m.replace(map[string][]byte{"tls-1.crt": []byte("half"), "tls-2.crt": foreign.chain, "tls-x.crt": nil, "note": nil})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, s := newMemory(), settings()
				a, b := m.start(t, s), m.start(t, s)
				time.Sleep(lag)
				m.pass(t, 5*time.Minute, a, b)
				was := a.serving
				do(m)
				time.Sleep(2*pause + lag) // less than the interval: they are told
				m.pass(t, s.Overlap+2*s.Interval, a, b)
				if !m.stored(t).has(was) || !a.serving.same(was) && !strings.HasPrefix(name, "another") {
					t.Errorf("the certificate was lost\n%s", &a.log)
				}
				m.pass(t, 3*period, a, b)
				if err := errors.Join(a.Ready(), b.Ready()); err != nil {
					t.Errorf("ready: %v", err)
				}
			})
		})
	}
}

func TestReplicasOutliveTheirSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), settings()
		a, b := m.start(t, s), m.start(t, s)
		time.Sleep(lag)
		m.pass(t, time.Minute, a, b)
		m.replace(nil)
		m.pass(t, 2*time.Minute, a, b)
		m.fill(nil) // which takes no Secret to mend
		time.Sleep(s.Interval + lag)
		m.pass(t, 2*time.Minute, a, b)
		if err := a.Ready(); err != nil || strings.Count(a.log.String(), "the Secret is gone") != 1 {
			t.Errorf("ready: %v; want one complaint\n%s", err, &a.log)
		}
		late := m.start(t, s)
		if err := late.Ready(); err == nil || !strings.Contains(err.Error(), "no serving certificate is loaded yet: the Secret is gone") {
			t.Errorf("a replica that starts now is ready: %v", err)
		}
		m.replace(map[string][]byte{})
		m.pass(t, 2*s.Interval, a, b)
		if err := late.Ready(); err != nil {
			t.Errorf("with the Secret again: %v", err)
		}
		m.pass(t, 3*period, a, b, late)
	})
}

// Replicas of an installation with another certificate are still being replaced.
func TestAuthoritiesOfOthersStayUntilTheFirstRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), settings()
		foreign, err := issue(1, []string{host}, time.Now().Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		m.fill(certificatePEM(foreign.authority))
		a := m.start(t, s)
		time.Sleep(lag)
		m.pass(t, period-time.Minute, a)
		if !trusts(m.known()[0], foreign.authority) {
			t.Error("the other authority is gone at once")
		}
		m.pass(t, 2*time.Minute, a)
		if trusts(m.known()[0], foreign.authority) {
			t.Error("the other authority is trusted for ever")
		}
	})
}

func TestAReplicaWhoseAuthorityIsNotTrustedIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), settings()
		a := m.start(t, s)
		m.deny(errors.New("forbidden"))
		m.fill(nil)
		time.Sleep(s.Interval)
		synctest.Wait()
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "has the authority of the serving certificate as caBundle: forbidden") {
			t.Errorf("ready: %v", err)
		}
		m.deny(nil)
		time.Sleep(s.Interval)
		synctest.Wait()
		if err := a.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}
		m.deny(errors.New("forbidden"))
		time.Sleep(lag)
		m.pass(t, s.Duration-time.Minute, a)
		time.Sleep(2 * time.Minute)
		if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "the serving certificate ended at") {
			t.Errorf("after the end: %v", err)
		}
	})
}

// As docs/architecture.md has it, for keys that became known to others.
func TestWithoutAReplicaEverythingCanBeForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newMemory(), settings()
		ctx, stop := context.WithCancel(t.Context())
		old := newManaged(s, m, time.Now, discard(), func(time.Time) {})
		begin(ctx, t, old)
		synctest.Wait()
		leaked := old.serving
		stop()
		synctest.Wait()
		m.replace(map[string][]byte{})
		m.fill(nil)
		a := m.start(t, s)
		time.Sleep(lag)
		m.pass(t, time.Minute, a)
		if m.stored(t).has(leaked) || trusts(m.known()[0], leaked.authority) {
			t.Error("the key that leaked is still good")
		}
	})
}
