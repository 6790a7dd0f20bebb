package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

func TestFaultsAreUsedUpInOrder(t *testing.T) {
	q := NewQueue([]string{"Assign", "Describe"})
	if err := q.Add(
		Fault{Action: "Assign", Code: "A", Count: 2},
		Fault{Action: Any, Code: "B"},
		Fault{Action: IMDS, Status: 503},
		Fault{Action: "Describe", Code: "C", Count: Forever},
	); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, action := range []string{"Assign", "Assign", "Assign", "Assign", IMDS, IMDS, "Describe", "Describe"} {
		f, ok := q.Take(action)
		switch {
		case !ok:
			got = append(got, action+" passes")
		default:
			got = append(got, action+" "+f.Refusal().Code)
		}
	}
	want := []string{
		"Assign A", "Assign A", "Assign B", "Assign passes", "IMDS InternalError", "IMDS passes", "Describe C", "Describe C",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]Fault{{Action: "Describe", Code: "C", Count: Forever}}, q.Pending()); diff != "" {
		t.Errorf("pending (-want +got)\n%s", diff)
	}
	q.Reset()
	if _, hit := q.Take("Describe"); hit {
		t.Error("a fault outlived the reset")
	}
}

func TestRefusalsAreWordedLikeAWS(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault Fault
		want  *apierr.Error
	}{
		{"throttling by code alone", Fault{Code: "RequestLimitExceeded"}, &apierr.Error{Code: "RequestLimitExceeded", Message: "Request limit exceeded.", Status: 503}},
		{"a status beats the code's own", Fault{Code: "RequestLimitExceeded", Status: 400}, &apierr.Error{Code: "RequestLimitExceeded", Message: "Request limit exceeded.", Status: 400}},
		{"a status alone", Fault{Status: 500}, &apierr.Error{Code: "InternalError", Message: "An internal error has occurred", Status: 500}},
		{"a message of one's own", Fault{Code: "X", Message: "100% wrong"}, &apierr.Error{Code: "X", Message: "100% wrong", Status: 400}},
		{"a delay refuses nothing", Fault{Delay: settings.Duration(time.Second)}, nil},
		{"a lost answer refuses nothing", Fault{Lose: true}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.fault.Refusal()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestBadFaultsAreRefusedTogether(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault Fault
		want  string
	}{
		{"an action that does not exist", Fault{Action: "Dance", Code: "X"}, "unknown action"},
		{"no action", Fault{Code: "X"}, "unknown action"},
		{"a negative count", Fault{Action: "Assign", Code: "X", Count: -2}, "count is -2"},
		{"a negative delay", Fault{Action: "Assign", Delay: -1}, "delay is negative"},
		{"a status of success", Fault{Action: "Assign", Status: 200}, "status is 200"},
		{"a lost call that fails", Fault{Action: "Assign", Lose: true, Code: "X"}, "exclude each other"},
		{"nothing to do", Fault{Action: "Assign"}, "nothing to do"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := NewQueue([]string{"Assign"})
			err := q.Add(Fault{Action: "Assign", Code: "Good"}, tc.fault)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if got := q.Pending(); len(got) > 0 {
				t.Errorf("some were added all the same: %v", got)
			}
		})
	}
}
