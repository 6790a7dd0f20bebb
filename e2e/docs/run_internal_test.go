package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// step is a command of a transcript and what it printed.
type step struct{ command, output string }

// transcript splits a block of the language console: lines that begin with
// "$ " are commands, "> " continues them, the rest is what they print.
func transcript(text string) []step {
	var steps []step
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, step{command: strings.TrimSuffix(command, "\n")})
			continue
		}
		if len(steps) == 0 {
			continue
		}
		last := &steps[len(steps)-1]
		if more, ok := strings.CutPrefix(line, "> "); ok {
			last.command += "\n" + strings.TrimSuffix(more, "\n")
			continue
		}
		last.output += line
	}
	return steps
}

// TestExamplesPrintWhatThePageSays executes the blocks that are marked with
// "<!-- run -->": scripts must succeed, transcripts must print what is printed.
func TestExamplesPrintWhatThePageSays(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/kubectl-ipmgr")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build kubectl-ipmgr: %v\n%s", err, out)
	}
	executed := 0
	for name, page := range readRepository(t).pages {
		for _, fence := range page.Fences {
			if fence.Run {
				executed++
				t.Run(name, func(t *testing.T) { runFence(t, bin, fence) })
			}
		}
	}
	if executed == 0 {
		t.Error("no page has an example to execute")
	}
}

func runFence(t *testing.T, bin string, fence Fence) {
	t.Helper()
	if fence.Language != "console" {
		if out, err := runScript(t, bin, "set -e\n"+fence.Text); err != nil {
			t.Errorf("line %d: %v\n%s", fence.Line, err, out)
		}
		return
	}
	for _, s := range transcript(fence.Text) {
		got, _ := runScript(t, bin, s.command) // the output shows failures
		if diff := cmp.Diff(s.output, got); diff != "" {
			t.Errorf("line %d: %s\n(-page +got):\n%s", fence.Line, s.command, diff)
		}
	}
}

// runScript runs a script at the root of the repository, with no cluster.
func runScript(t *testing.T, bin, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-uc", script)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+t.TempDir(), "KUBECONFIG=", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestTranscriptsAreSplitIntoCommandsAndOutput(t *testing.T) {
	got := transcript("$ a \\\n> b\none\ntwo\n$ c\n")
	want := []step{{"a \\\nb", "one\ntwo\n"}, {"c", ""}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}
