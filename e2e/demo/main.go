// Command demo shows multus-ipmgr at work on this machine, from the admission
// of a pod to the move of a floating address between two workers.
//
//	go run ./e2e/demo [--bin DIR] [--ec2-latency 100ms] [--moves 12]
//
// A real API server admits the pods, the real webhook changes them, and the
// real ipmgr runs as the admitted pods say, in network namespaces that play the
// pods. EC2 and IMDS are vpcsim's. The demo verifies each claim that it prints.
//
// It exits 0 when all of them held, 1 when one did not or something failed, 2
// for bad usage, and 130 when it was interrupted. Whatever happens, it leaves
// nothing behind but the cache of tool programs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// options are what a user can choose.
type options struct {
	bin        string        // directory of the programs; empty: they are built
	ec2Latency time.Duration // of each EC2 call
	moves      int           // of the floating address
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(exitDone)
	case err != nil:
		os.Exit(exitUsage) // the flag package has said why
	}
	if dir := os.Getenv(dirKey); dir != "" {
		os.Exit(inside(o, dir))
	}
	os.Exit(outside(o))
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.bin, "bin", "", "`directory` of webhook, ipmgr and vpcsim; without it, they are built")
	flags.DurationVar(&o.ec2Latency, "ec2-latency", 100*time.Millisecond, "`time` that each simulated EC2 call takes")
	flags.IntVar(&o.moves, "moves", 12, "`number` of moves of the floating address, at least 2")
	err := flags.Parse(args)
	if err == nil && (flags.NArg() > 0 || o.moves < 2 || o.ec2Latency < 0) {
		flags.Usage()
		err = fmt.Errorf("bad arguments %q", args)
	}
	return o, err
}
