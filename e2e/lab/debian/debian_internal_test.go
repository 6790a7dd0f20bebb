package debian

import (
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyThePackageAndLibrariesAreFetched(t *testing.T) {
	got := librariesIn(`keepalived
  Depends: iproute2
  Depends: libc6
 |Depends: libsystemd0
    libelogind0
<perlapi-5.36.0>
libc6
zlib1g
libc6:i386
libc6
perl
`, "keepalived")
	if diff := cmp.Diff([]string{"keepalived", "libc6", "zlib1g"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAProgramComesWithItsLoaderAndItsLibraries(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip("no shell to look at: ", err)
	}
	program := strings.TrimPrefix(shell, "/")
	libraries := imported(t, shell)
	got, err := closure("/", program)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(libraries, filepath.Base(program)) {
		if !slices.ContainsFunc(got, func(path string) bool { return filepath.Base(path) == name }) {
			t.Errorf("%s is not among %s", name, got)
		}
	}
	if !slices.ContainsFunc(got, func(path string) bool { return strings.HasPrefix(filepath.Base(path), "ld") }) {
		t.Errorf("no loader among %s", got)
	}
	alone := t.TempDir()
	if err := copyFile(shell, filepath.Join(alone, "sh")); err != nil {
		t.Fatal(err)
	}
	if _, err := closure(alone, "sh"); err == nil || !strings.Contains(err.Error(), "sh needs "+libraries[0]) {
		t.Errorf("without its libraries: %v", err)
	}
}

// imported lists what the shell is linked to.
func imported(t *testing.T, path string) []string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) == 0 {
		t.Skipf("%s is static here: %v", path, err)
	}
	return libraries
}

func TestWhatWasFetchedOnceIsNotFetchedAgain(t *testing.T) {
	cache := t.TempDir()
	want := filepath.Join(cache, "debian", "keepalived")
	if err := os.MkdirAll(filepath.Join(want, "sbin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(want, "sbin/keepalived"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "") // no apt
	got, err := Program(t.Context(), io.Discard, cache, "keepalived", "sbin/keepalived")
	if err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := Program(t.Context(), io.Discard, cache, "frr", "sbin/frr"); err == nil {
		t.Error("a package was fetched without apt")
	}
}
