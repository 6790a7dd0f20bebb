package process

import (
	"errors"
	"testing"
)

func TestTroubleIsNewsWhenItChanges(t *testing.T) {
	refused, gone := errors.New("connection refused"), errors.New("not found")
	var trouble Trouble
	for _, c := range []struct {
		name string
		err  error
		want bool
		last string
	}{
		{name: "it works from the start"},
		{name: "it fails", err: refused, want: true, last: "connection refused"},
		{name: "it fails again", err: errors.New("connection refused"), last: "connection refused"},
		{name: "it fails for another reason", err: gone, want: true, last: "not found"},
		{name: "it works again", want: true},
		{name: "it goes on working"},
		{name: "it fails for a reason of before", err: refused, want: true, last: "connection refused"},
	} {
		if got := trouble.Changed(c.err); got != c.want || trouble.Last() != c.last {
			t.Errorf("%s: changed %t, last %q; want %t, %q", c.name, got, trouble.Last(), c.want, c.last)
		}
	}
}
