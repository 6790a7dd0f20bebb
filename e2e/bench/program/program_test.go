package program_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/bench/program"
)

// What the test program does as the program under test.
var roles = map[string]func() int{
	"serve": func() int {
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGTERM)
		fmt.Print("ready at ")
		fmt.Println("last\nand more")
		<-got
		return 0
	},
	"mute": func() int {
		signal.Ignore(syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, "nothing for you")
		time.Sleep(time.Hour)
		return 0
	},
	"fail": func() int {
		fmt.Fprintln(os.Stderr, "no topology")
		return 2
	},
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		os.Exit(roles[os.Args[1]]())
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, role string) *program.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := program.Start(t.TempDir(), self, nil, role)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wants(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
}

// says waits until the program has written this, and thus listens to signals.
func says(p *program.Program, text string) {
	for p.Tail() != text {
		time.Sleep(time.Millisecond)
	}
}

func TestProgramKeepsItsOutputAndStops(t *testing.T) {
	p := start(t, "serve")
	says(p, "ready at last\nand more")
	if err := p.Stop(time.Minute); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func TestProgramThatEndsIsReportedWithItsLog(t *testing.T) {
	p := start(t, "fail")
	wants(t, p.Until(t.Context(), func(context.Context) error { return errors.New("not yet") }), "exit status 2", "no topology")
	wants(t, p.Stop(time.Minute), "exit status 2")
}

func TestWhatDoesNotComeIsReportedWhenPatienceEnds(t *testing.T) {
	p := start(t, "mute")
	says(p, "nothing for you")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wants(t, p.Until(ctx, func(context.Context) error { return errors.New("not yet") }), "last: not yet", "nothing for you")
	wants(t, p.Stop(time.Millisecond), "signal: killed")
}

func TestUntilTriesAgain(t *testing.T) {
	p := start(t, "serve")
	tries := 0
	err := p.Until(t.Context(), func(context.Context) error {
		tries++
		if tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("Until: %v after %d tries, want 3", err, tries)
	}
	says(p, "ready at last\nand more")
	if err := p.Stop(time.Minute); err != nil {
		t.Error(err)
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	_, err := program.Start(t.TempDir(), "/no/such/program", nil)
	wants(t, err, "start program", "no such file")
}
