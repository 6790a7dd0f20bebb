// Package command is the command line of nodegroup, and joins the function to
// AWS, to Lambda, and to files of events.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/cloud"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/event"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/lambda"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
	"github.com/multus-ipmgr/multus-ipmgr/version"
)

// Exit codes.
const (
	exitDone      = 0
	exitTransient = 1
	exitUsage     = 2
	exitRefused   = 3
)

// patience is how long a command tries. The function of the template has the
// same time.
const patience = 2 * time.Minute

// Program is the process: what it reads and where it writes.
type Program struct {
	Environ        []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Run carries out a command and returns the exit code. It serves Lambda, without
// an end, if the environment says that Lambda runs it.
func (p Program) Run(ctx context.Context, args []string) int {
	if p.isFunction() {
		lambda.Serve(ctx, p.handler(ctx))
	}
	a, err := parse(args, p.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err == nil && a.version:
		_, _ = fmt.Fprintln(p.Stdout, version.Line())
		return exitDone
	}
	f, surveyor, mistakes := p.function(ctx)
	if err := errors.Join(err, mistakes); err != nil {
		return p.fail(exitUsage, err)
	}
	ctx, cancel := context.WithTimeout(ctx, max(patience, f.Settings.Budget+reserve))
	defer cancel()
	switch {
	case a.check:
		return p.check(ctx, f, surveyor, a.instanceTypes)
	case a.sweep:
		return p.serve(ctx, f, event.Event{Purpose: event.Sweep}, a.dryRun)
	}
	e, err := p.read(a.event, f.Settings.Hooks)
	if err != nil {
		return p.fail(exitUsage, err)
	}
	return p.serve(ctx, f, e, a.dryRun)
}

// reserve is the time for an answer after the budget.
const reserve = 10 * time.Second

func (p Program) isFunction() bool {
	for _, entry := range p.Environ {
		if value, ok := strings.CutPrefix(entry, lambda.RuntimeVariable+"="); ok && value != "" {
			return true
		}
	}
	return false
}

// handler is what Lambda runs. With settings that are wrong each event fails with
// all mistakes: the function's errors are watched, its start is not.
func (p Program) handler(ctx context.Context) func(context.Context, []byte) error {
	f, _, err := p.function(ctx)
	if err != nil {
		return func(context.Context, []byte) error { return err }
	}
	return f.Handle
}

// function joins the parts as the environment sets them.
func (p Program) function(ctx context.Context) (*nodegroup.Function, nodegroup.Surveyor, error) {
	settings, mistakes := spec.Parse(p.Environ)
	log := slog.New(slog.NewJSONHandler(p.Stderr, &slog.HandlerOptions{Level: settings.LogLevel})).
		With("cluster", settings.Cluster, "nodegroup", settings.Name)
	ec2, scaling, err := cloud.Connect(ctx, settings.Cluster, settings.Name, version.String(), log)
	if err := errors.Join(mistakes, err); err != nil {
		return nil, nil, err
	}
	group := &nodegroup.Group{Settings: settings, Cloud: ec2, Peers: scaling, Log: log, Random: rand.Float64}
	return &nodegroup.Function{Group: group, Scaling: scaling}, cloud.Surveyor{Cloud: ec2, Scaling: scaling}, nil
}

// read reads an event from a file, or from standard input.
func (p Program) read(name string, hooks []string) (event.Event, error) {
	from := p.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return event.Event{}, err
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, event.MaxBytes+1))
	if err != nil {
		return event.Event{}, fmt.Errorf("reading the event: %w", err)
	}
	return event.Read(data, hooks)
}

// serve does what an event asks for, or prints what it would do.
func (p Program) serve(ctx context.Context, f *nodegroup.Function, e event.Event, dryRun bool) int {
	switch {
	case dryRun:
		return p.preview(ctx, f, e)
	case e.Purpose == event.Sweep:
		swept, err := f.Sweep(ctx)
		return p.conclude(err, swept.Refused > 0)
	}
	outcome, err := f.Serve(ctx, e)
	return p.conclude(err, len(outcome.Refusals) > 0)
}

// preview prints what would be done, a line of JSON for each instance.
func (p Program) preview(ctx context.Context, f *nodegroup.Function, e event.Event) int {
	var previews []nodegroup.Preview
	var err error
	if e.Purpose == event.Sweep {
		previews, err = f.PreviewSweep(ctx)
	} else {
		previews = make([]nodegroup.Preview, 1)
		previews[0], err = f.PreviewEvent(ctx, e)
	}
	if err != nil {
		return p.conclude(err, false)
	}
	refused := false
	for _, preview := range previews {
		refused = refused || len(preview.Refusals) > 0
		if err := json.NewEncoder(p.Stdout).Encode(preview); err != nil {
			return p.fail(exitTransient, err)
		}
	}
	return p.conclude(nil, refused)
}

// check prints what is wrong with the settings, a line for each finding.
func (p Program) check(ctx context.Context, f *nodegroup.Function, surveyor nodegroup.Surveyor, types []string) int {
	findings, err := f.Check(ctx, surveyor, types)
	refused := false
	for _, found := range findings {
		level := "refusal"
		if found.Warning {
			level = "warning"
		}
		refused = refused || !found.Warning
		var subject []string
		for _, part := range []string{found.Network, string(found.Reason)} {
			if part != "" {
				subject = append(subject, part)
			}
		}
		_, _ = fmt.Fprintln(p.Stdout, strings.Join(append(append([]string{level}, subject...), found.Message), ": "))
	}
	return p.conclude(err, refused)
}

// conclude turns the outcome into the exit code.
func (p Program) conclude(err error, refused bool) int {
	switch {
	case err != nil && fault.IsPermanent(err):
		return p.fail(exitRefused, err)
	case err != nil:
		return p.fail(exitTransient, err)
	case refused:
		return exitRefused
	}
	return exitDone
}

func (p Program) fail(code int, err error) int {
	_, _ = fmt.Fprintln(p.Stderr, err)
	return code
}
