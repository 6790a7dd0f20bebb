package process

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Flags reads a command line and collects all mistakes in it, so that a user
// hears of them at once.
type Flags struct {
	*flag.FlagSet
	mistakes []error
}

// NewFlags returns the flags of a program. Help goes to output.
func NewFlags(program string, output io.Writer) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(program, flag.ContinueOnError)}
	f.SetOutput(output)
	return f
}

// Value declares a flag whose value parse reads. What is wrong with it does not
// end the parsing.
func (f *Flags) Value(name, usage string, parse func(text string) error) {
	f.Func(name, usage, func(text string) error {
		if err := parse(text); err != nil {
			f.Mistake(fmt.Errorf("--%s=%q: %w", name, text, err))
		}
		return nil
	})
}

// Duration declares a flag for a duration of least or more. wanted says what to
// write.
func (f *Flags) Duration(target *time.Duration, least time.Duration, name, usage, wanted string) {
	f.Value(name, usage, func(text string) (err error) {
		if *target, err = time.ParseDuration(text); err != nil || *target < least {
			return errors.New("want " + wanted)
		}
		return nil
	})
}

// LogLevel declares the flag --log-level.
func (f *Flags) LogLevel(target *slog.Level) {
	f.Value("log-level", "`level`: debug, info, warn or error (default info)", func(text string) error {
		if target.UnmarshalText([]byte(text)) != nil {
			return errors.New("want debug, info, warn or error")
		}
		return nil
	})
}

// Kubeconfig declares the flag --kubeconfig, for Connect.
func (f *Flags) Kubeconfig(target *string) {
	f.StringVar(target, "kubeconfig", "", "`file` that says how to reach the API server; without it, the pod's service account is used")
}

// Parse reads the arguments, all of which must be flags. It fails on a flag that
// it does not know, and with flag.ErrHelp.
func (f *Flags) Parse(arguments []string) error {
	if err := f.FlagSet.Parse(arguments); err != nil {
		return err
	}
	if f.NArg() > 0 {
		f.Mistake(fmt.Errorf("%q: the %s takes flags only", f.Args(), f.Name()))
	}
	return nil
}

// Mistake adds to what Mistakes reports.
func (f *Flags) Mistake(err error) { f.mistakes = append(f.mistakes, err) }

// Mistakes is all that is wrong with the command line, or nil.
func (f *Flags) Mistakes() error { return errors.Join(f.mistakes...) }
