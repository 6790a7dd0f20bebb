package podrun

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Started runs the container's startup probe as the kubelet does, once per
// period, and returns nil when it succeeds. The error is that of the last
// probe when it failed too often, or says that the container ended.
func (c *Container) Started(ctx context.Context) error {
	probe := c.spec.StartupProbe
	if probe == nil || probe.Exec == nil {
		return fmt.Errorf("container %s has no startup probe that executes a command", c.spec.Name)
	}
	if err := c.pause(ctx, probe.InitialDelaySeconds); err != nil {
		return err
	}
	for failures := int32(1); ; failures++ {
		err := c.Probe(ctx, probe)
		switch {
		case err == nil:
			return nil
		case failures >= max(1, probe.FailureThreshold):
			return fmt.Errorf("startup probe failed %d times: %w", failures, err)
		}
		if gone := c.pause(ctx, max(1, probe.PeriodSeconds)); gone != nil {
			return fmt.Errorf("%w; the last startup probe: %w", gone, err)
		}
	}
}

// Probe runs a probe's command in the container once. The error carries what
// the command wrote.
func (c *Container) Probe(ctx context.Context, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, seconds(max(1, probe.TimeoutSeconds)))
	defer cancel()
	cmd, err := c.command(ctx, probe.Exec.Command)
	if err != nil {
		return err
	}
	said := &log{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := c.net.Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // says more than that the process was killed
		}
		return fmt.Errorf("%s: %w: %s", strings.Join(probe.Exec.Command, " "), err, said.tail())
	}
	return nil
}

// pause waits while the container runs.
func (c *Container) pause(ctx context.Context, s int32) error {
	timer := time.NewTimer(seconds(s))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.over:
		return errors.New("the container ended: " + c.log.tail())
	case <-ctx.Done():
		return ctx.Err()
	}
}

func seconds(s int32) time.Duration { return time.Duration(s) * time.Second }
