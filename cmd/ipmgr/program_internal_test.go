package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// TestMain gives the program a network namespace of its own, where nothing has
// an address: it must not meet the machine's.
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

// outcome is what one run of the program left.
type outcome struct {
	code                        int
	stdout, stderr, termination string
	madeNoNewMessage            bool
}

// run runs the program with a termination log, as in a container.
func run(t *testing.T, environ []string, args ...string) outcome {
	t.Helper()
	log := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(log, []byte("an older message that is longer than any other"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := runWith(t, log, environ, args...)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	o.termination = string(text)
	o.madeNoNewMessage = strings.HasPrefix(o.termination, "an older message")
	return o
}

func runWith(t *testing.T, terminationLog string, environ []string, args ...string) outcome {
	t.Helper()
	inLab(t)
	var stdout, stderr bytes.Buffer
	p := program{environ: environ, stdout: &stdout, stderr: &stderr, terminationLog: terminationLog}
	code := p.run(t.Context(), args)
	return outcome{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// inLab skips the test where the program would meet the machine's addresses.
func inLab(t *testing.T) {
	t.Helper()
	lab, err := netlab.New(netlab.Options{})
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUsage(t *testing.T) {
	tests := []struct {
		name string
		args []string
		says []string
	}{
		{"no command", nil, []string{"usage: ipmgr init|sidecar|ready|version"}},
		{"an unknown command", []string{"start"}, []string{`unknown command "start"`, "usage: ipmgr"}},
		{"two commands", []string{"init", "sidecar"}, []string{"usage: ipmgr"}},
		{"a flag", []string{"--help"}, []string{`unknown command "--help"`, "usage: ipmgr"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := run(t, nil, tt.args...)
			if o.code != 2 {
				t.Errorf("exit code %d, want 2", o.code)
			}
			for _, part := range tt.says {
				if !strings.Contains(o.stderr, part) {
					t.Errorf("it says %q, which lacks %q", o.stderr, part)
				}
			}
		})
	}
}

func TestVersionIsPrinted(t *testing.T) {
	o := run(t, []string{"IPMGR_TIMEOUT=nonsense"}, "version")
	if o.code != 0 || strings.TrimSpace(o.stdout) == "" || o.stderr != "" || !o.madeNoNewMessage {
		t.Errorf("%+v, want a version and exit code 0", o)
	}
}

func TestReadyWithoutSidecarFails(t *testing.T) {
	o := run(t, nil, "ready")
	if o.code != 1 || !strings.HasPrefix(o.stderr, "not ready: no ipmgr sidecar answers") || !o.madeNoNewMessage {
		t.Errorf("%+v, want exit code 1 and the reason", o)
	}
}

func TestBadSettingsAreReportedAllAtOnce(t *testing.T) {
	for _, mode := range []string{"init", "sidecar"} {
		t.Run(mode, func(t *testing.T) {
			o := run(t, []string{"IPMGR_TIMEOUT=soon", "IPMGR_POOLS=10.10.1.65/26", "IPMGR_DISCOVERY=dns", "IPMGR_POOL=x", "IPMGR_VERIFY=maybe"}, mode)
			if o.code != 2 {
				t.Errorf("exit code %d, want 2", o.code)
			}
			for _, part := range []string{`IPMGR_TIMEOUT="soon"`, "did you mean 10.10.1.64/26?", `IPMGR_DISCOVERY="dns"`, "IPMGR_POOL: no such setting", `IPMGR_VERIFY="maybe"`} {
				if !strings.Contains(o.stderr, part) {
					t.Errorf("standard error lacks %q:\n%s", part, o.stderr)
				}
				if !strings.Contains(o.termination, part) {
					t.Errorf("the termination message lacks %q: %s", part, o.termination)
				}
			}
			if strings.Contains(o.termination, "\n") || o.madeNoNewMessage {
				t.Errorf("termination message %q, want one new line", o.termination)
			}
		})
	}
}

func TestInitThatFailsLeavesATerminationMessage(t *testing.T) {
	o := run(t, []string{"IPMGR_TIMEOUT=50ms", "IPMGR_INTERFACES=net1", "POD_NAME=web-0", "POD_NAMESPACE=shop"}, "init")
	if o.code != 1 {
		t.Errorf("exit code %d, want 1", o.code)
	}
	if !strings.HasPrefix(o.termination, "NoAddress: interface net1 is missing: Multus did not attach it when the pod started; delete the pod") {
		t.Errorf("termination message %q", o.termination)
	}
	var last struct{ Level, Msg, Mode, Pod, Code, Error string }
	lines := strings.Split(strings.TrimSpace(o.stderr), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("the last log line is no JSON: %s", lines[len(lines)-1])
	}
	if last.Level != "ERROR" || last.Mode != "init" || last.Pod != "shop/web-0" || last.Code != "NoAddress" || last.Error != o.termination {
		t.Errorf("last log line %+v", last)
	}
}

func TestTerminationMessageNeedsNoFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "termination-log")
	if o := runWith(t, missing, []string{"IPMGR_TIMEOUT=50ms"}, "init"); o.code != 1 {
		t.Errorf("exit code %d, want 1", o.code)
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("the program made the file, which is the kubelet's: %v", err)
	}
}

func TestLogLevelIsKept(t *testing.T) {
	o := run(t, []string{"IPMGR_TIMEOUT=50ms", "IPMGR_LOG_LEVEL=error"}, "init")
	for line := range strings.Lines(o.stderr) {
		if !strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("logged %s", line)
		}
	}
}

func TestSidecarThatNeverHadAnAddressFailsAtItsEnd(t *testing.T) {
	inLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	p := program{environ: []string{"IPMGR_LOG_LEVEL=warn", "IPMGR_INTERFACES=net1"}, stdout: &stdout, stderr: &stderr}
	ended := make(chan int)
	go func() { ended <- p.run(ctx, []string{"sidecar"}) }()
	cancel()
	if code := <-ended; code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestSettingsComeFromTheFirstEntryOfTheirName(t *testing.T) {
	p := program{environ: []string{"A=1", "AB=2", "A=3", "EMPTY=", "EQUALS=a=b"}}
	for name, want := range map[string]string{"A": "1", "AB": "2", "EMPTY": "", "EQUALS": "a=b", "MISSING": ""} {
		if got := p.getenv(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
