package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
	client "k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

const (
	// firstPatience bounds the first step, which may have to build all programs.
	firstPatience = 90 * time.Minute
	// patience bounds each other. On two idle cores the longest takes half a
	// minute.
	patience = 10 * time.Minute
)

// stopTimeout bounds the end of the lab, which takes a second.
const stopTimeout = time.Minute

// demo is the state that the steps share.
type demo struct {
	dir     string
	root    string // of the repository
	tell    *story.Story
	kubectl string // the program
	bed     *testbed.Lab
	kube    client.Interface
}

// step is one chapter of the story.
type step struct {
	title string
	run   func(context.Context) error
}

// within runs a step for at most so long.
func (s step) within(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.run(ctx)
}

func (d *demo) steps() []step {
	return []step{
		{"A VPC with two workers, and multus-ipmgr installed by its chart", d.start},
		{"Without us: a Deployment with a Multus network", d.deploy},
		{"Opt in: a label, and a restart", d.optIn},
		{"The same Deployment, with its addresses on the workers' ENIs", d.meet},
		{"A worker dies, and its floating address follows keepalived", d.failOver},
		{"Nothing is left", d.clean},
	}
}

const introduction = `multus-ipmgr in a lab on this machine; docs/lab.md says what of it is real
real:      Linux kernel, kubelet, containerd, Multus, whereabouts and ipvlan of each worker; the control plane; kubectl; multus-ipmgr
simulated: EC2, IMDS and the VPC, by vpcsim; a call to EC2 takes 100 ms, and packets follow it after another 500 ms
`

// play tells the story and returns the exit code.
func play(ctx context.Context, dir string) int {
	began := time.Now()
	fmt.Fprint(os.Stdout, introduction)
	d := &demo{dir: dir}
	d.tell = story.New(os.Stdout, isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "", len(d.steps()))
	err := d.play(ctx)
	if err != nil { // of a Ctrl-C, what we run may hear before us
		select {
		case <-ctx.Done():
		case <-time.After(glance):
		}
	}
	if err != nil && ctx.Err() == nil && d.bed != nil {
		err = errors.Join(err, d.bed.SaveLogs(context.WithoutCancel(ctx)))
	}
	left := d.stop(ctx) // what an earlier end than the last step's has left
	switch {
	case err == nil && left == nil:
		d.tell.Say("%s in all", story.Round(time.Since(began)))
		return exitDone
	case ctx.Err() != nil && left == nil:
		d.tell.Fails("interrupted; everything is cleaned up")
		return exitInterrupted
	}
	d.tell.Fails("%s", errors.Join(err, left))
	return exitFailed
}

// play runs the steps until one fails.
func (d *demo) play(ctx context.Context) error {
	limit := firstPatience
	for _, step := range d.steps() {
		d.tell.Step(step.title)
		if err := step.within(ctx, limit); err != nil {
			return err
		}
		limit = patience
	}
	return nil
}

// stop ends the lab, if it runs.
func (d *demo) stop(ctx context.Context) error {
	if d.bed == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	bed := d.bed
	d.bed = nil
	return bed.Stop(ctx)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
