package agenda_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/agenda"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sleep(d time.Duration, until <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-until:
	}
}

func TestThingsHappenInTheOrderOfTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, begin := agenda.New(time.Now, sleep), time.Now()
		var got []string
		note := func(name string) func() {
			return func() { got = append(got, name+" at "+time.Since(begin).String()) }
		}
		a.After(3*time.Second, note("late"))
		a.After(time.Second, func() {
			note("early")()
			a.After(time.Second, note("planned meanwhile"))
		})
		a.After(3*time.Second, note("late too"))
		a.After(-time.Hour, note("at once"))
		time.Sleep(10 * time.Second)
		a.After(time.Second, note("after a rest"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		a.Close()
		a.After(0, note("after the end"))
		a.Run()
		want := []string{"at once at 0s", "early at 1s", "planned meanwhile at 2s", "late at 3s", "late too at 3s", "after a rest at 11s"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestRunLeavesNothingThatIsDue(t *testing.T) {
	now := time.Unix(1000, 0)
	// A clock that only the test moves, and a sleep that nothing ends but Close.
	a := agenda.New(func() time.Time { return now }, func(_ time.Duration, until <-chan struct{}) { <-until })
	defer a.Close()
	done := 0
	a.After(time.Second, func() {
		done++
		a.After(0, func() { done++ })
	})
	a.Run()
	if done != 0 {
		t.Errorf("%d things happened before their time", done)
	}
	now = now.Add(time.Second)
	a.Run()
	if done != 2 {
		t.Errorf("%d things happened, want what was due and what it led to at once", done)
	}
}

func TestCloseForgetsWhatIsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := agenda.New(time.Now, sleep)
		a.After(time.Hour, func() { t.Error("it happened after the end") })
		a.Close()
		time.Sleep(2 * time.Hour)
	})
}

func TestMoreThanTheBoundIsNotPlanned(t *testing.T) {
	now, done := time.Unix(0, 0), 0
	a := agenda.New(func() time.Time { return now }, func(_ time.Duration, until <-chan struct{}) { <-until })
	defer a.Close()
	for range agenda.Max + 10 {
		a.After(time.Second, func() { done++ })
	}
	now = now.Add(time.Second)
	a.Run()
	if done != agenda.Max {
		t.Errorf("%d things happened, want %d", done, agenda.Max)
	}
}
