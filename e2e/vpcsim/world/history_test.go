package world

import (
	"testing"
	"time"
)

func TestHistoryForgetsWhatNoViewNeeds(t *testing.T) {
	var h history[int]
	begin, second := time.Unix(0, 0), time.Second
	for i := range 1000 {
		h = h.add(i, moment{at: begin.Add(time.Duration(i) * second), lags: lags{IMDS: 3 * second, DataPath: 5 * second}})
	}
	if len(h) > 6 {
		t.Errorf("%d versions are kept, want those of five seconds", len(h))
	}
	now := begin.Add(999 * second)
	current := lags{IMDS: 3 * second, DataPath: 5 * second}
	for v, want := range map[View]int{Now: 999, Describe: 999, IMDS: 996, DataPath: 994} {
		if got := h.at(v, now, current); got != want {
			t.Errorf("view %d shows %d, want %d", v, got, want)
		}
	}
}

func TestAHistoryThatNoViewHasSeenIsEmpty(t *testing.T) {
	m := moment{at: time.Unix(0, 0), lags: lags{IMDS: time.Second}}
	h := history[int](nil).add(7, m)
	if got := h.at(IMDS, m.at, m.lags); got != 0 {
		t.Errorf("IMDS shows %d before its time", got)
	}
	if got := h.at(Now, m.at, m.lags); got != 7 {
		t.Errorf("the truth is %d", got)
	}
}
