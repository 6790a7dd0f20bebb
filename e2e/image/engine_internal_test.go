package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// programs puts shell scripts in the place of all programs, and returns what
// reads the lines that they were called by.
func programs(t *testing.T, scripts map[string]string) (calls func() []string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range scripts {
		text := "#!/bin/sh\necho " + name + " \"$@\" >>" + dir + "/calls\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return func() []string {
		data, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			return nil
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
}

func TestDockerBuildsWhereItsDaemonAnswers(t *testing.T) {
	calls := programs(t, map[string]string{"docker": "true"})
	o := testOrder()
	e, err := choose(t.Context(), o)
	if err != nil || e.String() != "docker" {
		t.Fatalf("engine %v, error %v", e, err)
	}
	if err := e.build(t.Context(), "ipmgr", "arm64", "out.tar"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"docker version --format {{.Server.Version}}",
		"docker buildx build --provenance=false --sbom=false --target ipmgr --platform linux/arm64 --build-arg VERSION=v1.2.3" +
			" --build-arg COMMIT=abc --build-arg SOURCE_DATE_EPOCH=1700000000 --output type=oci,rewrite-timestamp=true,dest=out.tar .",
	}
	if diff := cmp.Diff(want, calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestBuildahIsInstalledByRootOnly(t *testing.T) {
	for name, test := range map[string]struct {
		scripts map[string]string
		root    bool
		calls   []string
		failure string
	}{
		"it is there":       {scripts: map[string]string{"buildah": "true", "apt-get": "false"}, root: true},
		"somebody asks":     {scripts: map[string]string{"apt-get": "true"}, failure: "sudo apt-get install buildah"},
		"this is no Debian": {root: true, failure: "sudo apt-get install buildah"},
		"root asks": {
			scripts: map[string]string{"apt-get": "true"}, root: true,
			calls: []string{"apt-get update -qq", "apt-get install -qq -y --no-install-recommends buildah"},
		},
		"the archive is down": {
			scripts: map[string]string{"apt-get": "echo no route >&2; exit 100"}, root: true,
			calls: []string{"apt-get update -qq"}, failure: "no route",
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := programs(t, test.scripts)
			err := needBuildah(t.Context(), test.root)
			if (err != nil) != (test.failure != "") || err != nil && !strings.Contains(err.Error(), test.failure) {
				t.Errorf("error %v, want %q", err, test.failure)
			}
			if diff := cmp.Diff(test.calls, calls()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}
