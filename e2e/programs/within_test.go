package programs_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// failing notes how a test ends that must fail.
type failing struct {
	testing.TB
	message string
}

func (*failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestWhatComesAboutIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		programs.Within(t, time.Minute, "the third answer", func() error {
			asked++
			if asked < 3 {
				return errors.New("not yet")
			}
			return nil
		})
		if asked != 3 {
			t.Errorf("asked %d times, want 3", asked)
		}
	})
}

func TestWhatNeverComesAboutEndsTheTestWithTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began, over := &failing{TB: t}, time.Now(), make(chan struct{})
		go func() {
			defer close(over)
			programs.Within(f, time.Minute, "peace", func() error { return errors.New("after " + time.Since(began).Truncate(time.Minute).String()) })
		}()
		<-over
		if !strings.Contains(f.message, "peace: after 1m0s") {
			t.Errorf("it ends with %q", f.message)
		}
	})
}
