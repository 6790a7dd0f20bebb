package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProgressIsToldAtItsPace(t *testing.T) {
	var out strings.Builder
	now := time.Unix(1, 0)
	p := &progress{out: &out, now: func() time.Time { return now }}
	fmt.Fprint(p, "first\nat once\nhal")
	now = now.Add(pace)
	fmt.Fprint(p, "f a line\n")
	now = now.Add(pace / 2)
	fmt.Fprint(p, "too early\n")
	now = now.Add(pace / 2)
	fmt.Fprint(p, "later\n")
	if diff := cmp.Diff("     first\n     half a line\n     later\n", out.String()); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}
