// Command webhook is the admission webhook that adds the IP manager to pods
// with Multus networks. "webhook --help" lists its flags,
// "webhook --version" prints the version.
//
// It exits 0 after SIGTERM or SIGINT, 1 when it cannot serve, and 2 when its
// flags are wrong.
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

	"github.com/multus-ipmgr/multus-ipmgr/version"
	"github.com/multus-ipmgr/multus-ipmgr/webhook"
)

func main() { os.Exit(run()) }

func run() int {
	if slices.Equal(os.Args[1:], []string{"--version"}) {
		fmt.Fprintln(os.Stdout, version.Line())
		return 0
	}
	options, err := webhook.ParseOptions(os.Args[1:], version.String(), os.Getenv("POD_NAMESPACE"), os.Stderr)
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
	if err := webhook.Run(ctx, options, log); err != nil {
		log.Error("webhook failed", "error", err)
		return 1
	}
	return 0
}
