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
	if got := lacking(); uml.NeedsCompiler() != slices.Contains(got, "gcc") {
		t.Errorf("lacking %q: a compiler is needed: %t", got, uml.NeedsCompiler())
	}
	for _, program := range []string{kernelProgram, runcProgram, uml.Compiler} {
		if err := os.WriteFile(filepath.Join(dir, program), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got := lacking()
	if _, err := os.Stat(modulesDir); (err != nil) != slices.Contains(got, "user-mode-linux") || slices.Contains(got, "runc") || slices.Contains(got, "gcc") {
		t.Errorf("lacking %q though all programs are there; modules: %v", got, err)
	}
}
