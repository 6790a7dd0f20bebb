// Package kubectl is the commands of kubectl-ipmgr: the webhook's decisions,
// made by the same pure packages, for files and without a webhook.
//
// It decides nothing itself. It reads files and, where asked to, a cluster, and
// prints what packages inject and nad find.
package kubectl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	build "github.com/multus-ipmgr/multus-ipmgr/version"
)

// Exit codes.
const (
	exitOK      = 0
	exitFound   = 1 // the webhook would refuse an object
	exitMistake = 2 // bad flags, or something could not be read
)

const usage = `kubectl-ipmgr makes the decisions of multus-ipmgr's webhook for files.

  kubectl ipmgr check  -f FILE [--reserved CIDR,...]   check networks and static addresses
  kubectl ipmgr inject -f FILE [--explain]             print pods as the webhook would change them
  kubectl ipmgr version

"kubectl ipmgr COMMAND --help" lists the flags of a command. Exit codes: 0 all is
well, 1 the webhook would refuse an object, 2 bad flags or unreadable files.
`

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs the command that arguments, without the program's name, ask for. It
// returns the exit code; errors are written to streams.Err.
func Run(ctx context.Context, arguments []string, version string, streams Streams) int {
	command := ""
	if len(arguments) > 0 {
		command, arguments = arguments[0], arguments[1:]
	}
	code, err := exitOK, error(nil)
	switch command {
	case "check":
		code, err = check(ctx, arguments, streams)
	case "inject":
		code, err = injectFiles(ctx, arguments, version, streams)
	case "version", "--version":
		fmt.Fprintln(streams.Out, build.Line())
	case "help", "-h", "-help", "--help":
		fmt.Fprint(streams.Out, usage)
	case "":
		fmt.Fprint(streams.Err, usage)
		return exitMistake
	default:
		err = fmt.Errorf("there is no command %q; want check, inject, version or help", command)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(streams.Err, "kubectl-ipmgr:", err)
		return exitMistake
	}
	return code
}

// newFlags returns the flags of a command.
func newFlags(command string) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // parse says what is to be said
	return flags
}

// parse reads the flags of a command that takes nothing else. Help goes to
// standard output, as it is what was asked for.
func parse(flags *flag.FlagSet, about string, arguments []string, streams Streams) error {
	switch err := flags.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(streams.Out, "%s\n\nFlags:\n", about)
		flags.SetOutput(streams.Out)
		flags.PrintDefaults()
		return err
	case err != nil:
		return fmt.Errorf("%s: %w; --help lists the flags", flags.Name(), err)
	case flags.NArg() > 0:
		return fmt.Errorf("%s takes flags only, not %q; name files by -f", flags.Name(), flags.Arg(0))
	}
	return nil
}
