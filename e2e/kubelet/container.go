package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// Sandbox is where the processes of a pod run, such as a network namespace.
type Sandbox interface {
	// Start starts a command that does not outlive this process.
	Start(cmd *exec.Cmd) error
}

// Host is the sandbox of pods that have nothing of their own.
type Host struct{}

// Start implements Sandbox.
func (Host) Start(cmd *exec.Cmd) error { return programs.Start(cmd) }

// ContainerOptions say what to run and where.
type ContainerOptions struct {
	// Pod is the pod as the API server returned it, with the status that the
	// kubelet reports (status.hostIP at least, where the environment asks).
	Pod *corev1.Pod
	// Container is the name of a container or init container of Pod.
	Container string
	// Program is the path of the executable that stands in for the image. It
	// is the image's entry point, and every command of its base name.
	Program string
	// Sandbox is where the container runs.
	Sandbox Sandbox
	// Flags are added to the arguments of the spec.
	Flags []string
	// Address is where HTTP probes reach the container.
	Address netip.Addr
	// Log receives what the container writes, beside Container.Log. It may be nil.
	Log io.Writer
}

// Container is a container that was started.
type Container struct {
	*programs.Process

	spec    corev1.Container
	options ContainerOptions
	env     []string
	log     *log
}

// Exit is how a container ended.
type Exit struct {
	// Code is the exit code, or 128 plus the signal that killed the process.
	Code int
	// Message is the termination message of a container that failed and has the
	// policy FallbackToLogsOnError: the end of its log.
	Message string
}

// StartContainer starts a container. It is killed when ctx or its sandbox ends.
func StartContainer(ctx context.Context, o ContainerOptions) (*Container, error) {
	c := &Container{options: o, log: &log{}}
	if err := c.start(ctx); err != nil {
		return nil, fmt.Errorf("start container %s of pod %s/%s: %w", o.Container, o.Pod.Namespace, o.Pod.Name, err)
	}
	return c, nil
}

func (c *Container) start(ctx context.Context) error {
	var err error
	if c.spec, err = find(c.options.Pod, c.options.Container); err != nil {
		return err
	}
	if c.env, err = Environ(c.options.Pod, c.spec); err != nil {
		return err
	}
	entry := c.spec.Command
	if len(entry) == 0 {
		entry = []string{"/" + filepath.Base(c.options.Program)}
	}
	cmd, err := c.command(ctx, slices.Concat(entry, c.spec.Args), c.options.Flags...)
	if err != nil {
		return err
	}
	var out io.Writer = c.log
	if c.options.Log != nil {
		out = io.MultiWriter(c.log, c.options.Log)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := c.options.Sandbox.Start(cmd); err != nil {
		return err
	}
	c.Process = programs.Watch(cmd)
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

// command makes a command of the container's image, not started. The flags
// follow the line as they are.
func (c *Container) command(ctx context.Context, line []string, flags ...string) (*exec.Cmd, error) {
	program := c.options.Program
	if path.Base(line[0]) != filepath.Base(program) {
		return nil, fmt.Errorf("command %q: %s stands in for the image, which has no other program", line[0], program)
	}
	args := make([]string, 0, len(line)-1+len(flags))
	for _, arg := range line[1:] {
		args = append(args, expand(arg, c.env))
	}
	cmd := exec.CommandContext(ctx, program, append(args, flags...)...)
	cmd.Env = c.env
	cmd.Dir = "/"
	return cmd, nil
}

// Wait returns how the container ended, or an error when ctx ends before.
func (c *Container) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-c.Over():
		return c.Exit(), nil
	case <-ctx.Done():
		return Exit{}, fmt.Errorf("container %s of pod %s still runs: %w; its log ends:\n%s", c.spec.Name, c.options.Pod.Name, ctx.Err(), c.log.tail())
	}
}

// Exit returns how a container that is over has ended.
func (c *Container) Exit() Exit {
	e := Exit{Code: c.Code()}
	if e.Code != 0 && c.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		e.Message = c.log.tail()
	}
	return e
}

// Stop ends the container as the kubelet does: SIGTERM and, after the grace
// period, SIGKILL. It returns how the container ended, also if it had before.
func (c *Container) Stop(grace time.Duration) Exit {
	c.Process.Stop(grace)
	return c.Exit()
}

// Log returns what the container has written so far, to either stream.
func (c *Container) Log() string { return c.log.String() }
