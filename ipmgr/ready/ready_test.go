package ready_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/ready"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// TestMain gives the tests a network namespace of their own: the socket's name
// belongs to it.
func TestMain(m *testing.M) {
	os.Exit(netlab.Run(func() int {
		code := m.Run()
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
		return code
	}))
}

// serve runs a server and returns the function that ends it.
func serve(t *testing.T, log *slog.Logger, status func() error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ready.Serve(ctx, log, status)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// answer asks until somebody answers. The kernel may let a server's socket
// outlive it for a moment, and then resets who asks.
func answer(t *testing.T) error {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := ready.Ask(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no ipmgr sidecar answers") && !strings.Contains(err.Error(), "did not answer") {
			return err
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestAskLearnsWhatTheStatusIs(t *testing.T) {
	long := strings.Repeat("address 10.10.1.81 is missing; ", 1000)
	tests := []struct {
		name   string
		status error
	}{
		{"nil: ready", nil},
		{"what is missing", errors.New("address 10.10.1.81 on ENI eni-1: Pending")},
		{"a lot that is missing", errors.New(long)},
		{"several lines", errors.Join(errors.New("one"), errors.New("two"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stop := serve(t, discard(), func() error { return tt.status })
			defer stop()
			err := answer(t)
			if tt.status == nil && err != nil {
				t.Errorf("Ask: %v, want ready", err)
			}
			if tt.status != nil && (err == nil || err.Error() != tt.status.Error()) {
				t.Errorf("Ask: %v, want %v", err, tt.status)
			}
		})
	}
}

func TestAskFollowsTheStatus(t *testing.T) {
	var held atomic.Bool
	serve(t, discard(), func() error {
		if held.Load() {
			return nil
		}
		return errors.New("not yet")
	})
	for _, want := range []bool{false, true, false} {
		held.Store(want)
		if err := answer(t); (err == nil) != want {
			t.Errorf("Ask: %v, want ready: %v", err, want)
		}
	}
}

func TestAskWithoutServerSaysThatNobodyAnswers(t *testing.T) {
	deserted(t)
}

// deserted waits until the kernel has removed the socket of an earlier server.
func deserted(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := ready.Ask(t.Context())
		if err != nil && strings.Contains(err.Error(), "no ipmgr sidecar answers in this pod") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Ask: %v, want that nobody answers", err)
		}
	}
}

func TestAskAfterTheServerEndedSaysThatNobodyAnswers(t *testing.T) {
	stop := serve(t, discard(), func() error { return nil })
	if err := answer(t); err != nil {
		t.Fatal(err)
	}
	stop()
	deserted(t)
}

func TestAskDoesNotTakeAnEmptyAnswerForReadiness(t *testing.T) {
	deserted(t)
	l, err := net.Listen("unix", "@multus-ipmgr")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_ = conn.Close() // a sidecar that dies while it is asked
		}
	}()
	if err := ready.Ask(t.Context()); err == nil {
		t.Error("ready without an answer")
	}
}

func TestManyMayAskAtATime(t *testing.T) {
	serve(t, discard(), func() error { return nil })
	if err := answer(t); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	const many = 50
	for range many {
		go func() { errs <- ready.Ask(t.Context()) }()
	}
	for range many {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// awaited is a log that reports when its first line came.
type awaited struct {
	lines chan string
}

// Write implements io.Writer.
func (a awaited) Write(p []byte) (int, error) {
	select {
	case a.lines <- string(p):
	default:
	}
	return len(p), nil
}

func TestSecondServerSaysSoAndTakesOverWhenTheFirstEnds(t *testing.T) {
	first := serve(t, discard(), func() error { return errors.New("the first") })
	if err := answer(t); err == nil || err.Error() != "the first" {
		t.Fatal(err)
	}
	log := awaited{make(chan string, 1)}
	serve(t, slog.New(slog.NewTextHandler(log, nil)), func() error { return errors.New("the second") })
	select {
	case line := <-log.lines:
		if !strings.Contains(line, "is a second ipmgr running in this pod?") {
			t.Errorf("logged %q", line)
		}
	case <-time.After(patience):
		t.Fatal("the second server says nothing")
	}
	first()
	if err := answer(t); err == nil || err.Error() != "the second" {
		t.Errorf("Ask: %v, want the second server's answer", err)
	}
}

func TestSecondServerSaysSoOnce(t *testing.T) {
	deserted(t)
	first, err := net.Listen("unix", "@multus-ipmgr")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ready.Serve(ctx, slog.New(slog.NewTextHandler(&log, nil)), func() error { return nil })
		if got := strings.Count(log.String(), "will be retried"); got != 1 {
			t.Errorf("logged %d times in a minute:\n%s", got, log.String())
		}
	})
}

func TestAProberThatLeavesDoesNoHarm(t *testing.T) {
	serve(t, discard(), func() error { return nil })
	if err := answer(t); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := net.Dial("unix", "@multus-ipmgr")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	if err := ready.Ask(t.Context()); err != nil {
		t.Errorf("Ask: %v", err)
	}
}
