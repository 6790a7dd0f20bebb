// Package kubectl is the commands of kubectl-ipmgr: the webhook's decisions,
// made by the same pure packages, for files and without a webhook.
//
// It decides nothing itself. It reads files and, where asked to, a cluster, and
// prints what packages inject and nad find.
package kubectl

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	build "github.com/multus-ipmgr/multus-ipmgr/version"
)

// Exit codes.
const (
	exitOK      = 0
	exitFound   = 1 // the webhook would refuse an object
	exitMistake = 2 // bad flags, or something could not be read
)

var (
	// errFound says that the webhook would refuse an object, which has been
	// printed.
	errFound = errors.New("the webhook would refuse an object")
	// errNoCommand says that no command was given, and help was printed.
	errNoCommand = errors.New("no command")
)

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run runs the command that arguments, without the program's name, ask for. It
// returns the exit code; errors are written to streams.Err.
func Run(ctx context.Context, arguments []string, version string, streams Streams) int {
	root := newRoot(version, streams)
	root.SetArgs(arguments)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitFound
	case !errors.Is(err, errNoCommand):
		fmt.Fprintln(streams.Err, "kubectl-ipmgr:", err)
	}
	return exitMistake
}

func newRoot(version string, streams Streams) *cobra.Command {
	root := &cobra.Command{
		Use:         "kubectl-ipmgr",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl ipmgr"},
		Short:       "Make the decisions of multus-ipmgr's webhook for files",
		Long: `kubectl-ipmgr makes the decisions of multus-ipmgr's webhook for files.

Exit codes: 0 all is well, 1 the webhook would refuse an object, 2 bad flags or
unreadable files.`,
		Example: `  kubectl ipmgr check  -f FILE [--reserved CIDR,...]   check networks and static addresses
  kubectl ipmgr inject -f FILE [--explain]             print pods as the webhook would change them
  kubectl ipmgr version`,
		Version:                    build.Line(),
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true, // Run writes them
		SilenceUsage:               true,
		Args:                       knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(streams.Err)
			return errors.Join(cmd.Help(), errNoCommand)
		},
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%s: %w; --help lists the flags", cmd.Name(), err)
	})
	root.AddCommand(newCheck(streams), newInject(version, streams), &cobra.Command{
		Use:   "version",
		Short: "Print which build this is",
		Args:  cobra.NoArgs,
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(streams.Out, build.Line()) },
	})
	return root
}

// knownCommand refuses what is not a command.
func knownCommand(root *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	err := fmt.Errorf("there is no command %q; want check, inject, version or help", arguments[0])
	if meant := root.SuggestionsFor(arguments[0]); len(meant) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, meant[0])
	}
	return err
}

// flagsOnly refuses arguments, which are mostly files without their -f.
func flagsOnly(cmd *cobra.Command, arguments []string) error {
	if len(arguments) > 0 {
		return fmt.Errorf("%s takes flags only, not %q; name files by -f", cmd.Name(), arguments[0])
	}
	return nil
}

// complete makes shells complete the values of a flag of the command.
func complete(cmd *cobra.Command, flag string, values ...cobra.Completion) {
	completeBy(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// completeBy makes shells ask a function for the values of a flag of the
// command. It fails only for flags that the command does not have, of which
// completion then offers nothing.
func completeBy(cmd *cobra.Command, flag string, values cobra.CompletionFunc) {
	_ = cmd.RegisterFlagCompletionFunc(flag, values)
}
