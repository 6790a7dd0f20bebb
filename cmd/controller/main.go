// Command controller keeps ReservedCIDR objects and EC2's subnet CIDR
// reservations the same. "controller --help" lists its flags, "--version" prints the version; AWS's settings
// are the SDK's environment variables.
//
// It exits 0 after SIGTERM or SIGINT, 1 when it cannot work or lost its lease,
// and 2 when its flags are wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/multus-ipmgr/multus-ipmgr/controller"
	"github.com/multus-ipmgr/multus-ipmgr/version"
)

func main() { os.Exit(run()) }

func run() int {
	if slices.Equal(os.Args[1:], []string{"--version"}) {
		fmt.Fprintln(os.Stdout, version.Line())
		return 0
	}
	options, err := controller.ParseOptions(os.Args[1:], version.String(), os.Getenv("POD_NAMESPACE"), os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: options.LogLevel}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := controller.Run(ctx, options, log); err != nil {
		log.Error("controller failed", "error", err)
		return 1
	}
	return 0
}
