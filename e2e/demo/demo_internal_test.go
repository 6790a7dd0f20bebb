package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit bounds one run, which takes 10 s, on a machine that does much else.
const limit = 4 * time.Minute

// programs builds the demo and ipmgr as the Makefile does and returns their
// directory.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", ".", "../../cmd/ipmgr")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// demoIn returns a command that tells the story and keeps its files in dir.
func demoIn(t *testing.T, bin, dir string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "demo"))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// possible skips the test where the demo says that this machine has no
// namespaces for it.
func possible(t *testing.T, story string) {
	t.Helper()
	if strings.Contains(story, "network namespaces are not available") {
		t.Skip(story)
	}
}

// nothingLeft verifies that no file of the demo is left, and no process that
// runs one of its programs.
func nothingLeft(t *testing.T, bin, dir string) {
	t.Helper()
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files %v are left, error %v", files, err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path) // a process may end meanwhile
		if bytes.Contains(line, []byte(bin)) {
			t.Errorf("process %s is left: %q", filepath.Base(filepath.Dir(path)), line)
		}
	}
}

// wireDir is short: the path of a unix socket has 107 bytes at most.
func wireDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "d") //nolint:usetesting // its own are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestTheStoryHoldsAndLeavesNothing(t *testing.T) {
	bin, dir := programs(t), wireDir(t)
	out, err := demoIn(t, bin, dir).CombinedOutput()
	story := string(out)
	possible(t, story)
	if err != nil {
		t.Fatalf("%v\n%s", err, story)
	}
	head, _, _ := strings.Cut(story, "\n\n")
	for _, want := range []string{"real: ", "simulated: EC2", "played: ", "API server", "kubelet", "ipvlan"} {
		if !strings.Contains(head, want) {
			t.Errorf("the first lines do not say %q:\n%s", want, head)
		}
	}
	lines := strings.Split(strings.TrimSpace(story), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "make demo-lab ") {
		t.Errorf("the last line does not name make demo-lab: %s", last)
	}
	if held, steps := strings.Count(story, "✓"), len((&demo{}).steps()); held != steps-1 {
		t.Errorf("%d claims held, want one for each of the %d steps but the first:\n%s", held, steps, story)
	}
	nothingLeft(t, bin, dir)
}

func TestAnInterruptedStoryLeavesNothing(t *testing.T) {
	bin := programs(t)
	for name, test := range map[string]struct {
		until  string
		signal os.Signal
	}{
		"before it begins":                    {"played: ", os.Interrupt},
		"while pods ping":                     {"$ kubectl create namespace", os.Interrupt},
		"while the floating address is asked": {"session-1 has", syscall.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			dir := wireDir(t)
			cmd := demoIn(t, bin, dir)
			pipe, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var story strings.Builder
			for lines := bufio.NewScanner(pipe); lines.Scan(); {
				story.WriteString(lines.Text() + "\n")
				if strings.Contains(lines.Text(), test.until) {
					break
				}
			}
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(&story, pipe) // until the demo ends
			_ = cmd.Wait()
			possible(t, story.String())
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
				t.Errorf("exit code %d, want %d:\n%s", code, exitInterrupted, story.String())
			}
			nothingLeft(t, bin, dir)
		})
	}
}

func TestWithoutItsProgramTheDemoSaysHowToBuildIt(t *testing.T) {
	bin, dir := programs(t), wireDir(t)
	cmd := demoIn(t, bin, dir)
	cmd.Args = append(cmd.Args, "-ipmgr", "/nonexistent/ipmgr")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(string(out), "make demo builds it") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	nothingLeft(t, bin, dir)
}
