// Command lab runs a Kubernetes cluster with two workers in a simulated VPC on
// this machine, without root:
//
//	go run -C e2e/lab . up                # until Ctrl-C or down
//	go run -C e2e/lab . status
//	go run -C e2e/lab . shell worker-1 ip addr
//	go run -C e2e/lab . down
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
)

func main() {
	uml.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

const usage = `usage: lab [--dir DIR] COMMAND

  up [--workers N]       start the lab and keep it until Ctrl-C or down
  status                 say what runs
  shell NODE [COMMAND]   run a command, or a shell without terminal, in a worker
  pcap [ENI]             write the frames of an ENI, or of all, until Ctrl-C:
                         lab pcap eni-w1-eth1 | tcpdump -nr -
  down                   end the lab

`

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(os.Stderr, usage)
		flags.PrintDefaults()
	}
	dir := flags.String("dir", filepath.Join(os.TempDir(), "multus-ipmgr-lab-"+strconv.Itoa(os.Getuid())),
		"`directory` of the lab's files, which also distinguishes labs")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	rest := flags.Args()
	switch {
	case len(rest) >= 1 && rest[0] == "up":
		return up(ctx, *dir, rest[1:])
	case len(rest) == 1 && rest[0] == "status":
		return status(ctx, *dir, os.Stdout)
	case len(rest) == 1 && rest[0] == "down":
		return down(ctx, *dir, os.Stdout)
	case len(rest) >= 1 && rest[0] == "pcap":
		return pcap(ctx, *dir, rest[1:], os.Stdout)
	case len(rest) >= 2 && rest[0] == "shell":
		return shell(ctx, *dir, rest[1], rest[2:])
	}
	flags.Usage()
	return errUsage
}
