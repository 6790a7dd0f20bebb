// Package podrun runs a container of an admitted pod as the kubelet and the
// container runtime would, in a network namespace that plays the pod: with the
// spec's arguments, with the spec's environment and no other, with its startup
// probe and its termination message. A local program stands in for the image.
//
// What it does not play: volumes, users (the process has the user of this one,
// without capabilities), resource limits, restarts, and containers by order.
// It asks no API server: the pod is given as it was read from there.
package podrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// Options say what to run and where.
type Options struct {
	// Pod is the pod as the API server returned it, with the status that the
	// kubelet reports (status.hostIP at least, where the environment asks).
	Pod *corev1.Pod
	// Container is the name of a container or init container of Pod.
	Container string
	// Program is the path of the executable that stands in for the image. It
	// is the image's entry point, and every command of its base name.
	Program string
	// Net is where the container runs.
	Net *netlab.Pod
}

// Container is a container that was started.
type Container struct {
	spec    corev1.Container
	program string
	net     *netlab.Pod
	env     []string
	cmd     *exec.Cmd
	log     *log
	began   time.Time
	over    chan struct{} // closed when exit is known
	exit    Exit
}

// Exit is how a container ended.
type Exit struct {
	// Code is the exit code, or 128 plus the signal that killed the process.
	Code int
	// Message is the termination message of a container that failed, by the
	// policy FallbackToLogsOnError: the end of its log.
	Message string
	// Took is the time from start to exit.
	Took time.Duration
	// CPU is the time that the process computed.
	CPU time.Duration
}

// Start starts a container. It is killed when ctx or its pod ends.
func Start(ctx context.Context, o Options) (*Container, error) {
	c := &Container{program: o.Program, net: o.Net, log: &log{}, over: make(chan struct{})}
	if err := c.start(ctx, o); err != nil {
		return nil, fmt.Errorf("start container %s of pod %s/%s: %w", o.Container, o.Pod.Namespace, o.Pod.Name, err)
	}
	return c, nil
}

func (c *Container) start(ctx context.Context, o Options) error {
	var err error
	if c.spec, err = find(o.Pod, o.Container); err != nil {
		return err
	}
	if c.env, err = Environ(o.Pod, c.spec); err != nil {
		return err
	}
	entry := c.spec.Command
	if len(entry) == 0 {
		entry = []string{"/" + filepath.Base(c.program)}
	}
	if c.cmd, err = c.command(ctx, slices.Concat(entry, c.spec.Args)); err != nil {
		return err
	}
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.began = time.Now()
	if err := c.net.Start(c.cmd); err != nil {
		return err
	}
	go c.wait()
	return nil
}

// find returns the container of that name, wherever it is in the pod.
func find(pod *corev1.Pod, name string) (corev1.Container, error) {
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		return corev1.Container{}, errors.New("the pod has no such container")
	}
	return all[i], nil
}

// command makes a command of the container's image, not started.
func (c *Container) command(ctx context.Context, line []string) (*exec.Cmd, error) {
	if path.Base(line[0]) != filepath.Base(c.program) {
		return nil, fmt.Errorf("command %q: %s stands in for the image, which has no other program", line[0], c.program)
	}
	args := make([]string, 0, len(line)-1)
	for _, arg := range line[1:] {
		args = append(args, expand(arg, c.env))
	}
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env = c.env
	cmd.Dir = "/"
	return cmd, nil
}

// wait notes how the process ended.
func (c *Container) wait() {
	_ = c.cmd.Wait() // its state says more
	state := c.cmd.ProcessState
	c.exit = Exit{Code: exitCode(state), Took: time.Since(c.began), CPU: state.UserTime() + state.SystemTime()}
	if c.exit.Code != 0 {
		c.exit.Message = c.log.tail()
	}
	close(c.over)
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// Wait returns how the container ended, or an error when ctx ends before.
func (c *Container) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-c.over:
		return c.exit, nil
	case <-ctx.Done():
		return Exit{}, fmt.Errorf("container %s of pod %s still runs: %w; its log ends:\n%s", c.spec.Name, c.net.Name, ctx.Err(), c.log.tail())
	}
}

// Stop ends the container as the kubelet does: SIGTERM and, after the grace
// period, SIGKILL. It returns how the container ended, also if it had before.
func (c *Container) Stop(grace time.Duration) Exit {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // no error matters: over says the same
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.over:
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.over
	}
	return c.exit
}

// Log returns what the container has written so far, to either stream.
func (c *Container) Log() string { return c.log.String() }
