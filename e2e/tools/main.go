// Command tools builds the third-party programs that the tests, the demo and
// the linter need, and prints the path of each, one a line:
//
//	go run -C e2e/tools . kube-apiserver etcd
//
// Each program comes from a module below this directory, whose go.mod and
// go.sum pin it and all it depends on, through the Go module proxy. It is
// built once and kept outside the source tree, in
//
//	${MULTUS_IPMGR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/multus-ipmgr}/tools/KEY/
//
// where KEY is a hash of everything that decides what the program is. What
// takes long is reported on standard error.
//
// With --into it builds programs of this repository instead, into a directory:
//
//	go run -C e2e/tools . --into ../../bin ./cmd/ipmgr ./e2e/demo
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tools:", err)
		os.Exit(1)
	}
}

// run builds the named programs and prints their paths to out.
func run(ctx context.Context, names []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("tools", flag.ContinueOnError)
	flags.SetOutput(progress)
	into := flags.String("into", "", "`directory` for programs of this repository, whose packages are named")
	ldflags := flags.String("ldflags", "", "the linker's `flags` for them")
	if err := flags.Parse(names); err != nil {
		return err
	}
	if names = flags.Args(); *into != "" {
		return buildOwn(ctx, progress, *into, *ldflags, names)
	}
	root, err := cacheRoot(os.Getenv)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("name the programs to build, of: %s", catalog)
	}
	b := builder{modules: ".", cache: root, progress: progress}
	for _, name := range names {
		p, ok := catalog[name]
		if !ok {
			return fmt.Errorf("unknown program %q; known are: %s", name, catalog)
		}
		path, err := b.build(ctx, name, p)
		if err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
		fmt.Fprintln(out, path)
	}
	return nil
}
