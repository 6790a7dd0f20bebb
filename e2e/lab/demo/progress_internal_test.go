package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProgressIsToldAtItsPaceUntilItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := &progress{out: &out}
		fmt.Fprint(p, "first\nat once\nthe lat")
		fmt.Fprint(p, "est\n")
		time.Sleep(2 * pace)
		fmt.Fprint(p, "after silence\n")
		time.Sleep(pace / 2)
		fmt.Fprint(p, "too late\n")
		p.close()
		fmt.Fprint(p, "not told\n")
		time.Sleep(2 * pace)
		if diff := cmp.Diff("     first\n     the latest\n     after silence\n", out.String()); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
	})
}
