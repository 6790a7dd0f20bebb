package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

const usage = `usage: nodegroup --event FILE|- [--dry-run]
       nodegroup --sweep [--dry-run]
       nodegroup --check [--instance-type TYPE,...]
       nodegroup --version

Under AWS_LAMBDA_RUNTIME_API nodegroup serves AWS Lambda. Settings are the
environment variables NODEGROUP_*, described in docs/settings.md.

`

// maxTypes bounds the instance types that one check names.
const maxTypes = 40

// arguments are those of the command line.
type arguments struct {
	event         string
	sweep, check  bool
	version       bool
	dryRun        bool
	instanceTypes []string
}

// parse reads the command line. It reports all mistakes at once. Help is
// flag.ErrHelp, and was written.
func parse(args []string, stderr io.Writer) (arguments, error) {
	var a arguments
	var types string
	flags := flag.NewFlagSet("nodegroup", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&a.event, "event", "", "serve the lifecycle event, or {\"sweep\":true}, in this `FILE`; - is standard input")
	flags.BoolVar(&a.sweep, "sweep", false, "serve all instances that wait, and delete ENIs that nobody attaches")
	flags.BoolVar(&a.check, "check", false, "compare the settings with what there is in AWS")
	flags.BoolVar(&a.dryRun, "dry-run", false, "with --event and --sweep: print as JSON what would be done, and change nothing")
	flags.StringVar(&types, "instance-type", "", "with --check: instance `TYPE`s to check besides those of the group, comma-separated")
	flags.BoolVar(&a.version, "version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = io.WriteString(stderr, usage)
			flags.SetOutput(stderr)
			flags.PrintDefaults()
		}
		return a, err
	}
	a.instanceTypes = slices.DeleteFunc(strings.Split(types, ","), func(t string) bool { return strings.TrimSpace(t) == "" })
	return a, errors.Join(a.mistakes(flags.Args())...)
}

func (a *arguments) mistakes(rest []string) []error {
	var errs []error
	modes := 0
	for _, set := range []bool{a.event != "", a.sweep, a.check, a.version} {
		if set {
			modes++
		}
	}
	if modes != 1 {
		errs = append(errs, errors.New("want one of --event, --sweep, --check and --version"))
	}
	if a.dryRun && a.event == "" && !a.sweep {
		errs = append(errs, errors.New("--dry-run is for --event and --sweep"))
	}
	if len(a.instanceTypes) > 0 && !a.check {
		errs = append(errs, errors.New("--instance-type is for --check"))
	}
	if len(a.instanceTypes) > maxTypes {
		errs = append(errs, fmt.Errorf("--instance-type: %d types; want at most %d", len(a.instanceTypes), maxTypes))
	}
	if len(rest) > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %.80q", rest[0]))
	}
	return errs
}
