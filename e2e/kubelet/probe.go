package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Started runs the container's startup probe as the kubelet does, once per
// period, and returns nil when it succeeds. The error is that of the last
// probe when it failed too often, or says that the container ended.
func (c *Container) Started(ctx context.Context) error {
	probe := c.spec.StartupProbe
	if probe == nil {
		return fmt.Errorf("container %s has no startup probe", c.spec.Name)
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

// FollowReadiness runs the container's readiness probe once per period until the
// container ends, and calls report after each. A container without one is ready.
func (c *Container) FollowReadiness(ctx context.Context, report func(ready bool)) {
	probe := c.spec.ReadinessProbe
	if probe == nil {
		probe = &corev1.Probe{}
	}
	for ready, failures := false, int32(0); ; {
		failures++
		if c.spec.ReadinessProbe == nil || c.Probe(ctx, probe) == nil {
			failures = 0
		}
		// One success suffices, as the probes of Deployments do by default.
		ready = failures == 0 || ready && failures < probe.FailureThreshold
		report(ready)
		if c.pause(ctx, max(1, probe.PeriodSeconds)) != nil {
			return
		}
	}
}

// Probe runs a probe once. The error of one that executes a command carries
// what the command wrote.
func (c *Container) Probe(ctx context.Context, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, seconds(max(1, probe.TimeoutSeconds)))
	defer cancel()
	switch {
	case probe.Exec != nil:
		return c.execute(ctx, probe.Exec.Command)
	case probe.HTTPGet != nil:
		return c.get(ctx, probe.HTTPGet)
	}
	return errors.New("only probes that execute a command or get a page are played")
}

func (c *Container) execute(ctx context.Context, line []string) error {
	cmd, err := c.command(ctx, line)
	if err != nil {
		return err
	}
	said := &log{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := c.options.Sandbox.Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // says more than that the process was killed
		}
		return fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, said.tail())
	}
	return nil
}

func (c *Container) get(ctx context.Context, action *corev1.HTTPGetAction) error {
	port := action.Port.IntValue()
	for _, named := range c.spec.Ports {
		if named.Name == action.Port.StrVal {
			port = int(named.ContainerPort)
		}
	}
	url := fmt.Sprintf("http://%s%s", netip.AddrPortFrom(c.options.Address, uint16(port)), action.Path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: %s", url, response.Status)
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
	case <-c.Over():
		return errors.New("the container ended: " + c.log.tail())
	case <-ctx.Done():
		return ctx.Err()
	}
}

func seconds(s int32) time.Duration { return time.Duration(s) * time.Second }
