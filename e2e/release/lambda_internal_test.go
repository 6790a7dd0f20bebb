package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// built compiles a small program for an architecture.
func built(t *testing.T, arch string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", "program", "main.go")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GO111MODULE=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func TestAFunctionDependsOnNothingButItsProgram(t *testing.T) {
	program := built(t, "arm64")
	files := []oci.File{{Path: bootstrap, Mode: 0o755, Content: program}}
	first, err := zipped(files, epoch)
	if err != nil {
		t.Fatal(err)
	}
	files[0].Modified, files[0].UID = time.Now(), 1000
	second, err := zipped(files, epoch.In(time.FixedZone("elsewhere", 3600)))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("time, owner and the machine's zone changed the archive, error %v", err)
	}
	got, err := unzipped(first, "arm64")
	if err != nil || !bytes.Equal(got, program) {
		t.Errorf("the program comes out with %d bytes of %d, error %v", len(got), len(program), err)
	}
	if _, err := zipped(files, time.Unix(0, 0)); err != nil {
		t.Error(err)
	}
}

func TestWhatLambdaCannotRunIsNoticed(t *testing.T) {
	program := built(t, "arm64")
	dynamic := bytes.Clone(program) // the type of its first segment says that it needs a loader
	dynamic[64] = 3
	for _, tc := range []struct {
		name, want string
		files      []oci.File
	}{
		{"another name", "want one file bootstrap", []oci.File{{Path: "nodegroup", Mode: 0o755, Content: program}}},
		{"a file beside it", "want one file bootstrap", []oci.File{{Path: bootstrap, Mode: 0o755, Content: program}, {Path: "LICENSE", Mode: 0o644}}},
		{"a program that nobody may run", "that everybody may run", []oci.File{{Path: bootstrap, Mode: 0o644, Content: program}}},
		{"a script", "bad magic number", []oci.File{{Path: bootstrap, Mode: 0o755, Content: bytes.Repeat([]byte("#!/bin/sh\n"), 20)}}},
		{"another architecture", "static program for arm64", []oci.File{{Path: bootstrap, Mode: 0o755, Content: built(t, "amd64")}}},
		{"a program that needs libraries", "static program for arm64", []oci.File{{Path: bootstrap, Mode: 0o755, Content: dynamic}}},
	} {
		data, err := zipped(tc.files, epoch)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unzipped(data, "arm64"); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v; want %q", tc.name, err, tc.want)
		}
	}
	if _, err := unzipped(make([]byte, maxZip+1), "arm64"); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a large archive: error %v", err)
	}
}

func TestTheFunctionAloneHasADirectoryOfItsOwn(t *testing.T) {
	for _, tc := range []struct {
		arguments []string
		want      string
	}{
		{nil, "dist/release"},
		{[]string{"--lambda"}, "dist/lambda"},
		{[]string{"--lambda", "--out", "elsewhere"}, "elsewhere"},
	} {
		if o, err := parse(tc.arguments, io.Discard); err != nil || o.out != tc.want {
			t.Errorf("%q: directory %q, error %v; want %q", tc.arguments, o.out, err, tc.want)
		}
	}
}
