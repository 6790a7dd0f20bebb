// Command nodegroup gives the workers of an Auto Scaling group their Multus
// ENIs. It is a function of AWS Lambda that answers the group's lifecycle hook,
// and a command that does the same by hand.
//
//	nodegroup --event FILE [--dry-run]   serve one event; - is standard input
//	nodegroup --sweep [--dry-run]        serve what events did not say, collect garbage
//	nodegroup --check                    compare the settings with what there is in AWS
//	nodegroup --version                  print the version
//
// Settings are environment variables, described in package
// github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec. AWS settings are the SDK's
// own.
//
// Exit codes: 0 done; 1 transient failures outlasted the time; 2 bad usage or
// settings; 3 a refusal that trying again cannot fix.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := command.Program{Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	code := p.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
