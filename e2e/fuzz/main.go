// Command fuzz plays every fuzz target of every module of the repository, one
// after the other, each for a while:
//
//	go run ./e2e/fuzz --time 20s           all
//	go run ./e2e/fuzz --time 5m nad        those with a word in "PACKAGE TARGET"
//
// A target that fails does not keep the others from their turn. In the end each
// failure is named, with the input that caused it: Go leaves that as a file
// below the package's testdata/fuzz, where the package's tests play it again
// from then on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, output io.Writer) error {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	long := flags.String("time", "20s", "how long each target is played, as go test's -fuzztime")
	root := flags.String("root", ".", "directory of the repository")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	targets, err := find(*root)
	if err != nil {
		return err
	}
	if targets = selected(targets, flags.Args()); len(targets) == 0 {
		return fmt.Errorf("no fuzz target below %s has one of the words %q", *root, flags.Args())
	}
	return play(ctx, targets, *long, output)
}

// play gives every target its turn, and names those that failed.
func play(ctx context.Context, targets []target, long string, output io.Writer) error {
	var failures []string
	for i, t := range targets {
		_, _ = fmt.Fprintf(output, "fuzz: %s for %s (%d of %d)\n", t, long, i+1, len(targets))
		err := t.play(ctx, long, output)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted in %s: %w", t, ctx.Err())
		}
		if err != nil {
			failures = append(failures, err.Error())
		}
	}
	if len(failures) > 0 {
		return errors.New("failed:\n" + strings.Join(failures, "\n"))
	}
	_, _ = fmt.Fprintf(output, "fuzz: %d targets held\n", len(targets))
	return nil
}
