package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// hello is a program that depends on nothing but the standard library, pinned
// like the real ones.
var hello = program{module: "hello", pkg: "example.com/hello", from: "example.com/hello/version", stamp: []string{"main.version=VERSION"}}

const helloMod = `module example.com/hello

go 1.26.0

require example.com/hello/version v1.2.3

replace example.com/hello/version => ./version
`

// testBed returns a builder whose modules hold hello, with the given main.go,
// and what it says.
func testBed(t *testing.T, main string) (builder, *log) {
	t.Helper()
	modules := t.TempDir()
	for name, text := range map[string]string{
		"hello/go.mod":         helloMod,
		"hello/main.go":        main,
		"hello/version/go.mod": "module example.com/hello/version\n",
	} {
		path := filepath.Join(modules, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := &log{}
	return builder{modules: modules, cache: t.TempDir(), progress: said}, said
}

// log is a writer that several builds may share.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const printVersion = "package main\n\nvar version string\n\nfunc main() { println(version) }\n"

func TestProgramIsBuiltOnceAndStamped(t *testing.T) {
	b, said := testBed(t, printVersion)
	path, err := b.build(t.Context(), "hello", hello)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path).CombinedOutput()
	if err != nil || string(out) != "v1.2.3\n" {
		t.Errorf("hello printed %q, %v; want its version", out, err)
	}
	first := said.String()
	if !strings.Contains(first, "tools: hello: building v1.2.3, once") || !strings.Contains(first, "ready after") {
		t.Errorf("said %q", first)
	}
	again, err := b.build(t.Context(), "hello", hello)
	if err != nil || again != path || said.String() != first {
		t.Errorf("the second build: %q, %v, said %q; want silence", again, err, said.String()[len(first):])
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.partial")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAnotherVersionIsAnotherProgram(t *testing.T) {
	b, _ := testBed(t, printVersion)
	before, err := b.prepare(t.Context(), "hello", hello)
	if err != nil {
		t.Fatal(err)
	}
	mod := strings.ReplaceAll(helloMod, "v1.2.3", "v1.2.4")
	if err := os.WriteFile(filepath.Join(b.modules, "hello", "go.mod"), []byte(mod), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := b.prepare(t.Context(), "hello", hello)
	if err != nil {
		t.Fatal(err)
	}
	if before.target == after.target {
		t.Errorf("both versions are kept in %s", after.target)
	}
}

func TestChangedSourceIsAnotherProgram(t *testing.T) {
	b, _ := testBed(t, printVersion)
	before, err := b.prepare(t.Context(), "hello", hello)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(printVersion, "println(version)", "println(version, 2)", 1)
	if err := os.WriteFile(filepath.Join(b.modules, "hello", "main.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := b.prepare(t.Context(), "hello", hello)
	if err != nil {
		t.Fatal(err)
	}
	if before.target == after.target {
		t.Errorf("both sources are kept in %s", after.target)
	}
}

func TestTwoBuildsAtOnceShareTheWork(t *testing.T) {
	b, said := testBed(t, printVersion)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := b.build(t.Context(), "hello", hello); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := strings.Count(said.String(), "ready after"); got != 1 {
		t.Errorf("%d builds, want 1: %s", got, said)
	}
}

func TestLockIsGivenUpWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := lock(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	waited := false
	if _, err := lock(ctx, path, func() { waited = true }); err == nil || !waited {
		t.Errorf("the second lock: %v, reported that it waits: %t", err, waited)
	}
}

func TestErrorsSayWhatHappened(t *testing.T) {
	for name, c := range map[string]struct {
		main, proxy string
		want        []string
	}{
		"a program that does not compile": {
			main: "package main\n\nfunc main() { undeclared() }\n",
			want: []string{"compile it", "undefined: undeclared"},
		},
		"a proxy that cannot be reached": {
			main: "package main\n\nimport _ \"example.com/elsewhere\"\n\nfunc main() {}\n", proxy: "http://127.0.0.1:1",
			want: []string{"fetch its modules", "The Go module proxy must be reachable", "connection refused"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := testBed(t, c.main)
			if c.proxy != "" {
				t.Setenv("GOPROXY", c.proxy)
				t.Setenv("GONOSUMDB", "*")
				t.Setenv("GOFLAGS", "")
				mod := helloMod + "\nrequire example.com/elsewhere v1.0.0\n"
				if err := os.WriteFile(filepath.Join(b.modules, "hello", "go.mod"), []byte(mod), 0o600); err != nil {
					t.Fatal(err)
				}
				sum := "example.com/elsewhere v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" +
					"example.com/elsewhere v1.0.0/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
				if err := os.WriteFile(filepath.Join(b.modules, "hello", "go.sum"), []byte(sum), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path, err := b.build(t.Context(), "hello", hello)
			if err == nil {
				t.Fatal("build succeeded")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
			if exists(path) {
				t.Errorf("%s exists", path)
			}
		})
	}
}

func TestCacheLivesWhereTheEnvironmentSays(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"its own variable first":  {map[string]string{"MULTUS_IPMGR_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a/tools"},
		"then the desktop's":      {map[string]string{"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/multus-ipmgr/tools"},
		"then the home directory": {map[string]string{"HOME": "/c"}, "/c/.cache/multus-ipmgr/tools"},
		"nowhere is an error":     {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := cacheRoot(func(key string) string { return c.env[key] })
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestEveryProgramOfTheCatalogIsPinned(t *testing.T) {
	for name, p := range catalog {
		mod, err := os.ReadFile(filepath.Join(p.module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		version, err := p.version(mod)
		if err != nil {
			t.Error(err)
		}
		if flags := p.ldflags(version); strings.Contains(flags, "VERSION") {
			t.Errorf("%s: %s", name, flags)
		}
		if !strings.Contains(string(mod), p.pkg) {
			t.Errorf("%s/go.mod has no tool line for %s", p.module, p.pkg)
		}
	}
}

func TestUnknownProgramsAreRefusedWithTheKnownOnes(t *testing.T) {
	t.Setenv("MULTUS_IPMGR_CACHE", t.TempDir())
	for _, names := range [][]string{nil, {"kube-proxy"}} {
		err := run(t.Context(), names, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "etcd, golangci-lint, govulncheck") {
			t.Errorf("run(%v): %v", names, err)
		}
	}
}
