// Command vpcsim serves a simulated VPC: the EC2 Query API, the instance
// metadata service of its workers, and an interface to look at it and disturb
// it. See package e2e/vpcsim.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return vpcsim.Command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
