package programs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
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
	"parent": func() int {
		self, err := os.Executable()
		if err != nil {
			return 1
		}
		cmd := exec.Command(self, "mute")
		if err := programs.Start(cmd); err != nil {
			return 1
		}
		fmt.Println(cmd.Process.Pid)
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

func start(t *testing.T, role string) *programs.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := programs.Run(t.TempDir(), exec.Command(self, role))
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
func says(p *programs.Program, text string) {
	for p.Tail() != text {
		time.Sleep(time.Millisecond)
	}
}

func TestProgramKeepsItsOutputAndStops(t *testing.T) {
	p := start(t, "serve")
	says(p, "ready at last\nand more")
	if err := p.End(time.Minute); err != nil {
		t.Errorf("End: %v", err)
	}
}

func TestProgramThatEndsIsReportedWithItsLog(t *testing.T) {
	p := start(t, "fail")
	wants(t, p.Until(t.Context(), func(context.Context) error { return errors.New("not yet") }), "exit status 2", "no topology")
	wants(t, p.End(time.Minute), "exit status 2")
}

func TestWhatDoesNotComeIsReportedWhenPatienceEnds(t *testing.T) {
	p := start(t, "mute")
	says(p, "nothing for you")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wants(t, p.Until(ctx, func(context.Context) error { return errors.New("not yet") }), "last: not yet", "nothing for you")
	wants(t, p.End(time.Millisecond), "signal: killed")
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
	if err := p.End(time.Minute); err != nil {
		t.Error(err)
	}
}

func TestMissingProgramIsAnError(t *testing.T) {
	_, err := programs.Run(t.TempDir(), exec.Command("/no/such/program"))
	wants(t, err, "start program", "no such file")
}

func TestProgramDoesNotOutliveWhoStartedIt(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self, "parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanln(out, &pid); err != nil {
		t.Fatal(err)
	}
	child, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	over := []unix.PollFd{{Fd: int32(child), Events: unix.POLLIN}}
	if n, err := unix.Poll(over, int(time.Minute.Milliseconds())); n != 1 || err != nil {
		t.Errorf("the child runs on: %d, %v", n, err)
	}
}
