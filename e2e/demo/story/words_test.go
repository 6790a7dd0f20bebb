package story_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
)

func TestDurationsHaveTwoOrThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		843 * time.Microsecond:   "0.8 ms",
		9940 * time.Microsecond:  "9.9 ms",
		10600 * time.Microsecond: "11 ms",
		108 * time.Millisecond:   "108 ms",
		1540 * time.Millisecond:  "1.5 s",
	} {
		if diff := cmp.Diff(want, story.Round(d)); diff != "" {
			t.Errorf("%d ns (-want +got):\n%s", d, diff)
		}
	}
}

func TestLogLinesAreShortened(t *testing.T) {
	for name, test := range map[string]struct{ log, want string }{
		"time and what is known are left out": {
			`{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"address assigned","mode":"init","took":"1ms","address":"10.10.1.80"}` + "\n",
			"INFO address assigned  address=10.10.1.80  took=1ms\n",
		},
		"what is not JSON stays": {"panic: oops\n", "panic: oops\n"},
		"an empty log is empty":  {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, story.Readable(test.log, "mode")); diff != "" {
				t.Errorf("readable (-want +got):\n%s", diff)
			}
		})
	}
}
