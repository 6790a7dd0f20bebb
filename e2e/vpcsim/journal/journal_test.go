package journal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCallsAreListedInTheOrderOfTheirArrival(t *testing.T) {
	var j Journal
	at := time.Unix(100, 0)
	first := j.Begin("A", map[string]string{"k": "v"}, at)
	second := j.Begin("B", nil, at)
	second(OK)
	if diff := cmp.Diff([]Call{{"B", nil, at, OK}}, j.Calls(false)); diff != "" {
		t.Errorf("while the first is under way (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]Call{{"A", map[string]string{"k": "v"}, at, Pending}, {"B", nil, at, OK}}, j.Calls(true)); diff != "" {
		t.Errorf("with pending calls (-want +got)\n%s", diff)
	}
	first("Wrong")
	if diff := cmp.Diff([]Call{{"A", map[string]string{"k": "v"}, at, "Wrong"}, {"B", nil, at, OK}}, j.Calls(false)); diff != "" {
		t.Errorf("at the end (-want +got)\n%s", diff)
	}
}

func TestACallThatEndsAfterAResetStaysForgotten(t *testing.T) {
	var j Journal
	end := j.Begin("A", nil, time.Time{})
	j.Reset()
	j.Begin("B", nil, time.Time{})
	end(OK)
	if diff := cmp.Diff([]Call{{Action: "B", Result: Pending}}, j.Calls(true)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTheJournalForgetsTheOldestCalls(t *testing.T) {
	j := &Journal{}
	first := j.Begin("first", nil, time.Time{})
	for range MaxCalls - 1 {
		j.Begin("more", nil, time.Time{})(OK)
	}
	last := j.Begin("last", nil, time.Time{})
	first("late") // it is forgotten
	last("done")
	calls := j.Calls(true)
	if n := len(calls); n != MaxCalls/2+1 || calls[n-1].Result != "done" || calls[0].Action != "more" {
		t.Errorf("%d calls from %+v to %+v, want the younger half and the last", n, calls[0], calls[n-1])
	}
	for _, c := range calls {
		if c.Result == "late" {
			t.Errorf("the result of a forgotten call is %+v's", c)
		}
	}
}
