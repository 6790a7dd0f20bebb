// Command kubectl-ipmgr makes the webhook's decisions for files, as a plugin of
// kubectl ("kubectl ipmgr") and by itself. "kubectl-ipmgr help" lists its
// commands and exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/multus-ipmgr/multus-ipmgr/version"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := kubectl.Run(ctx, os.Args[1:], version.String(), kubectl.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
