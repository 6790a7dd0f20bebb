package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pings are sent 20 ms apart; those with the numbers are answered.
func pings(count int, numbers ...int) ([]time.Time, map[int]bool) {
	var sent []time.Time
	answered := map[int]bool{}
	for i := range count {
		sent = append(sent, time.Unix(0, 0).Add(time.Duration(i)*every))
	}
	for _, n := range numbers {
		answered[n] = true
	}
	return sent, answered
}

func TestTheLongestRunOfLostPingsIsTheLoss(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(0, 0).Add(time.Duration(n) * every) }
	for name, test := range map[string]struct {
		answered []int
		want     loss
	}{
		"nothing is lost":              {[]int{0, 1, 2, 3, 4, 5}, loss{}},
		"nothing was answered":         {nil, loss{}},
		"what came before is not lost": {[]int{3, 4, 5}, loss{}},
		"what is still under way too":  {[]int{0, 1, 2}, loss{}},
		"a run between two answers":    {[]int{0, 3, 4, 5}, loss{2, at(1), at(3)}},
		"the longer of two such runs":  {[]int{0, 2, 5}, loss{2, at(3), at(5)}},
		"an answer that came too late": {[]int{0, 5}, loss{4, at(1), at(5)}},
	} {
		t.Run(name, func(t *testing.T) {
			sent, answered := pings(6, test.answered...)
			if diff := cmp.Diff(test.want, longest(sent, answered), cmp.AllowUnexported(loss{})); diff != "" {
				t.Errorf("loss (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyAnswersInARowShowThatAnAddressArrived(t *testing.T) {
	const count = 3 * enough
	var all []int
	for n := range count {
		all = append(all, n)
	}
	for name, test := range map[string]struct {
		from     int
		answered []int
		want     int
	}{
		"all of them":                            {0, all, count},
		"those from a number on":                 {count - 5, all, 5},
		"those but the last that is under way":   {0, all[:count-1], count - 1},
		"one was lost":                           {0, append(all[:10:10], all[11:]...), count - 11},
		"the address went away long ago":         {0, all[:enough], 0},
		"nobody has ever answered":               {0, nil, 0},
		"all that answered came before that one": {enough + 1, all[:enough], 0},
	} {
		t.Run(name, func(t *testing.T) {
			sent, answered := pings(count, test.answered...)
			p := &probe{to: netip.MustParseAddr(floating), sent: sent, answered: answered}
			if got := p.inRow(test.from); got != test.want {
				t.Errorf("%d in a row, want %d", got, test.want)
			}
		})
	}
}
