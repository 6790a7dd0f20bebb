package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/link"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/metrics"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/ready"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/version"
)

// Exit codes.
const (
	exitDone      = 0
	exitTransient = 1
	exitUsage     = 2
	exitPermanent = 3
)

const usage = "usage: ipmgr init|sidecar|ready|version"

// program is the process: what it reads and where it writes.
type program struct {
	environ        []string
	stdout, stderr io.Writer
	terminationLog string // where the kubelet reads why the container ended
}

// run carries out one command and returns the exit code.
func (p program) run(ctx context.Context, args []string) int {
	if len(args) != 1 {
		return p.fail(exitUsage, usage)
	}
	switch mode := spec.Mode(args[0]); mode {
	case spec.Init, spec.Sidecar:
		return p.manage(ctx, mode)
	case "ready":
		if err := ready.Ask(ctx); err != nil {
			return p.fail(exitTransient, "not ready: "+err.Error())
		}
		return exitDone
	case "version", "--version":
		_, _ = fmt.Fprintln(p.stdout, version.Line())
		return exitDone
	}
	return p.fail(exitUsage, fmt.Sprintf("unknown command %q; %s", args[0], usage))
}

func (p program) fail(code int, message string) int {
	_, _ = fmt.Fprintln(p.stderr, message)
	return code
}

// manage runs the manager in one of its modes.
func (p program) manage(ctx context.Context, mode spec.Mode) int {
	settings, err := spec.Parse(p.environ)
	if err != nil {
		p.terminate(strings.ReplaceAll(err.Error(), "\n", "; "))
		return p.fail(exitUsage, err.Error())
	}
	log := p.logger(settings, mode)
	manager, counters, err := p.assemble(ctx, settings, mode, log)
	if err != nil {
		return p.conclude(log, err)
	}
	log.Debug("ipmgr starts", "version", version.String(), "settings", spec.Environ(settings))
	if settings.MetricsAddress != "" {
		go func() {
			if err := counters.Serve(ctx, settings.MetricsAddress); err != nil {
				log.Error("metrics are not served", "error", err)
			}
		}()
	}
	if mode == spec.Sidecar {
		go ready.Serve(ctx, log, func() error { return manager.Status().Err })
		err = manager.Follow(ctx)
	} else {
		err = manager.Once(ctx)
	}
	return p.conclude(log, err)
}

// assemble joins the loop to the kernel and the cloud.
func (p program) assemble(ctx context.Context, settings spec.Settings, mode spec.Mode, log *slog.Logger) (*ipmgr.Manager, *metrics.Metrics, error) {
	links := link.New(plan.Names{Excluded: settings.Exclude}.Certain())
	manager := &ipmgr.Manager{Settings: settings, Links: links, Log: log, Random: rand.Float64}
	counters := metrics.New(manager.Status)
	cloud, err := eni.New(ctx, eni.Options{
		Discovery:  settings.Discovery,
		HostIP:     settings.HostIP,
		Version:    version.String(),
		Dial:       links.Dial,
		DialWorker: links.DialWorker,
		Alone:      mode == spec.Init, // the pod's applications wait until it has ended
		Logger:     log,
		Observe:    counters.Observe,
	})
	manager.ENIs = cloud
	return manager, counters, err
}

// conclude turns the outcome into the exit code, one last log line and the
// container's termination message.
func (p program) conclude(log *slog.Logger, err error) int {
	if err == nil {
		return exitDone
	}
	log.Error("giving up", "code", fault.CodeOf(err), "error", err)
	p.terminate(err.Error())
	if fault.IsPermanent(err) {
		return exitPermanent
	}
	return exitTransient
}

// terminate leaves a message for "kubectl describe pod". The kubelet makes the
// file; where there is none, nobody reads it.
func (p program) terminate(message string) {
	file, err := os.OpenFile(p.terminationLog, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	_, _ = file.WriteString(message)
	_ = file.Close()
}

func (p program) logger(settings spec.Settings, mode spec.Mode) *slog.Logger {
	log := slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: settings.LogLevel})).With("mode", mode)
	if pod := p.getenv("POD_NAME"); pod != "" {
		log = log.With("pod", p.getenv("POD_NAMESPACE")+"/"+pod)
	}
	return log
}

func (p program) getenv(name string) string {
	for _, entry := range p.environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
