package lag

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

func TestHistoryForgetsWhatNoViewNeeds(t *testing.T) {
	var h History[int]
	begin, second := time.Unix(0, 0), time.Second
	for i := range 1000 {
		h = h.Add(i, Moment{At: begin.Add(time.Duration(i) * second), Lags: Lags{IMDS: 3 * second, DataPath: 5 * second}})
	}
	if len(h) > 6 {
		t.Errorf("%d versions are kept, want those of five seconds", len(h))
	}
	now := begin.Add(999 * second)
	bounds := Lags{IMDS: 3 * second, DataPath: 5 * second}
	for v, want := range map[View]int{Now: 999, Interfaces: 999, IMDS: 996, DataPath: 994} {
		if got := h.At(v, now, bounds); got != want {
			t.Errorf("view %d shows %d, want %d", v, got, want)
		}
	}
}

func TestAHistoryThatNoViewHasSeenIsEmpty(t *testing.T) {
	m := Moment{At: time.Unix(0, 0), Lags: Lags{IMDS: time.Second}}
	h := History[int](nil).Add(7, m)
	if got := h.At(IMDS, m.At, m.Lags); got != 0 {
		t.Errorf("IMDS shows %d before its time", got)
	}
	if got := h.At(Now, m.At, m.Lags); got != 7 {
		t.Errorf("the truth is %d", got)
	}
}

func TestDescribeCallsDifferOnlyWithJitter(t *testing.T) {
	s, r := settings.Defaults(), rand.New(rand.NewPCG(1, 2))
	s.DescribeLag = settings.Duration(10 * time.Second)
	if l := Draw(s, r); l != Bounds(s) {
		t.Errorf("without jitter: %v", l)
	}
	s.DescribeJitter = true
	differ, spread := 0, map[time.Duration]bool{}
	for range 100 {
		l := Draw(s, r)
		if l[Interfaces] != l[Instances] && l[Instances] != l[Groups] {
			differ++
		}
		for _, v := range []View{Interfaces, Instances, Groups} {
			if l[v] < 0 || l[v] > 10*time.Second {
				t.Errorf("view %d lags by %s", v, l[v])
			}
			spread[l[v].Truncate(time.Second)] = true
		}
	}
	if differ < 95 || len(spread) < 10 {
		t.Errorf("%d of 100 changes differ between the calls, over %d of 10 seconds", differ, len(spread))
	}
}
