package controlplane_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// holds is the argument by which this program holds a control plane, in the
// directory that follows, until it is killed.
const holds = "hold-a-control-plane"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == holds {
		_, err := controlplane.Start(context.Background(), controlplane.Options{Dir: os.Args[2]})
		fmt.Println(err)
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

func TestNothingOutlivesAProcessThatIsKilled(t *testing.T) {
	if err := controlplane.Prepare(t.Context(), controlplane.Options{Progress: os.Stderr}); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	holder := exec.CommandContext(t.Context(), self, holds, dir)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	var said string
	if _, err := fmt.Fscanln(out, &said); err != nil || said != "<nil>" {
		t.Fatalf("it says %q, %v", said, err)
	}
	if running := using(t, dir); len(running) < 2 {
		t.Fatalf("of its programs run %q", running)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // it was killed
	programs.Within(t, time.Minute, "all programs end", func() error {
		if running := using(t, dir); len(running) > 0 {
			return fmt.Errorf("still running: %q", running)
		}
		return nil
	})
}

// using returns the command lines of processes that name a directory.
func using(t *testing.T, dir string) (lines []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		line, _ := os.ReadFile(path) // the process may have ended
		if bytes.Contains(line, []byte(dir)) && !bytes.Contains(line, []byte(holds)) {
			lines = append(lines, string(line))
		}
	}
	return lines
}
