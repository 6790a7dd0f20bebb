package uml

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/cpu"
)

// ptraceSource is described in its own first lines.
//
//go:embed xstate/ptrace.c
var ptraceSource []byte

// Compiler compiles what [Preload] returns.
const Compiler = "cc"

// NeedsCompiler says whether [Preload] has something to compile here.
func NeedsCompiler() bool { return cpu.X86.HasAMXTile }

// Preload returns the library that [Spec.Preload] needs on this machine's
// processor, which it compiles in dir, or "" where none is needed.
func Preload(ctx context.Context, dir string) (string, error) {
	if !NeedsCompiler() {
		return "", nil
	}
	source, library := filepath.Join(dir, "ptrace.c"), filepath.Join(dir, "ptrace.so")
	if err := os.WriteFile(source, ptraceSource, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, Compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", library, source)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("this processor has AMX, with which User-Mode Linux 6.1 needs a small library, "+
			"and it cannot be compiled (sudo apt-get install gcc libc6-dev): %w\n%s", err, out)
	}
	return library, nil
}
