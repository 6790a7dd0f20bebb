package testbed

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
)

func TestPackagesAreLackingUntilTheirProgramsAreThere(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	l := &Lab{options: Options{NodeGroup: true}}
	if got := (&Lab{}).lacking(); slices.Contains(got, "curl") {
		t.Errorf("lacking %q without a node group", got)
	}
	if got := l.lacking(); !slices.Contains(got, "curl") || uml.NeedsCompiler() != slices.Contains(got, "gcc") {
		t.Errorf("lacking %q: want curl, and a compiler: %t", got, uml.NeedsCompiler())
	}
	for _, program := range []string{kernelProgram, runcProgram, "curl", uml.Compiler} {
		if err := os.WriteFile(filepath.Join(dir, program), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got := l.lacking()
	if _, err := os.Stat(modulesDir); (err != nil) != slices.Contains(got, "user-mode-linux") || slices.Contains(got, "runc") || slices.Contains(got, "curl") || slices.Contains(got, "gcc") {
		t.Errorf("lacking %q though all programs are there; modules: %v", got, err)
	}
}
