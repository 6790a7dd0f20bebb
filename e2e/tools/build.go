package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const proxyAdvice = "The Go module proxy must be reachable: GOPROXY names the one to use, HTTPS_PROXY the way to it"

// builder builds programs into the cache.
type builder struct {
	modules  string // directory that holds the modules
	cache    string
	progress io.Writer
}

// job is one program on its way into the cache.
type job struct {
	program
	name    string
	dir     string // of the module
	version string
	target  string
	log     *reporter
}

// build returns the path of a program, which it builds if the cache has none.
func (b builder) build(ctx context.Context, name string, p program) (string, error) {
	j, err := b.prepare(ctx, name, p)
	if err != nil {
		return "", err
	}
	if exists(j.target) {
		return j.target, nil
	}
	if err := os.MkdirAll(filepath.Dir(j.target), 0o750); err != nil {
		return "", err
	}
	release, err := lock(ctx, j.target+".lock", func() {
		j.log.say("another build of it is under way, waiting")
	})
	if err != nil {
		return "", err
	}
	defer release()
	if exists(j.target) {
		return j.target, nil
	}
	return j.target, j.make(ctx)
}

// prepare works out where the program belongs in the cache.
func (b builder) prepare(ctx context.Context, name string, p program) (job, error) {
	dir := filepath.Join(b.modules, p.module)
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return job{}, fmt.Errorf("read what pins it (run this in e2e/tools): %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return job{}, err
	}
	version, err := p.version(mod)
	if err != nil {
		return job{}, err
	}
	env, err := goCommand(ctx, dir, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return job{}, err
	}
	own, err := sources(dir)
	if err != nil {
		return job{}, err
	}
	parts := append([][]byte{mod, sum, []byte(env), []byte(p.pkg + p.tags), []byte(p.ldflags(version))}, own...)
	return job{
		program: p, name: name, dir: dir, version: version,
		target: filepath.Join(b.cache, key(parts...), name),
		log:    &reporter{out: b.progress, name: name, now: time.Now},
	}, nil
}

// make fetches and compiles the program and puts it in its place in one step.
func (j job) make(ctx context.Context) error {
	j.log.say("building %s, once, into %s; up to %d min on two cores", j.version, filepath.Dir(j.target), j.minutes)
	j.log.start("fetching modules", "modules fetched")
	list, err := j.log.follow(ctx, j.dir, "list", "-mod=readonly", "-deps", "-tags", j.tags, "-f", "{{.ImportPath}}", j.pkg)
	if err != nil {
		return fmt.Errorf("fetch its modules: %w\n%s", err, proxyAdvice)
	}
	packages := strings.Count(list, "\n")
	j.log.start("compiling", fmt.Sprintf("of %d packages compiled, the rest may be in Go's cache", packages))
	partial := fmt.Sprintf("%s.%d.partial", j.target, os.Getpid())
	defer os.Remove(partial) // gone already after success
	_, err = j.log.follow(ctx, j.dir, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-tags", j.tags,
		"-ldflags", j.ldflags(j.version), "-o", partial, j.pkg)
	if err != nil {
		return fmt.Errorf("compile it: %w", err)
	}
	if err := os.Rename(partial, j.target); err != nil {
		return err
	}
	j.log.say("ready after %s", j.log.elapsed())
	return nil
}

// own is the directory of this repository's main module.
const own = "../.."

// buildOwn builds packages of this repository, static and stripped as its
// Makefile does, into a directory.
func buildOwn(ctx context.Context, progress io.Writer, into, ldflags string, packages []string) error {
	into, err := filepath.Abs(into)
	if err != nil {
		return err
	}
	log := &reporter{out: progress, name: strings.Join(packages, " "), now: time.Now}
	log.start("fetching modules", "modules fetched")
	list, err := log.follow(ctx, own, append([]string{"list", "-deps", "-f", "{{.ImportPath}}"}, packages...)...)
	if err != nil {
		return fmt.Errorf("fetch modules: %w\n%s", err, proxyAdvice)
	}
	log.start("compiling", fmt.Sprintf("of %d packages compiled, the rest may be in Go's cache", strings.Count(list, "\n")))
	_, err = log.follow(ctx, own, append([]string{"build", "-v", "-trimpath", "-ldflags", ldflags, "-o", into + string(filepath.Separator)}, packages...)...)
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
