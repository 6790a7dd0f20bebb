package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cloud"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cluster"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// patience bounds the whole demo, which takes some 15 s on two cores.
const patience = 5 * time.Minute

// demo is the state that the steps share.
type demo struct {
	options
	dir      string
	tell     *story.Story
	topology cloud.Topology
	ipam     *ranges

	lab     *netlab.Lab
	cloud   *cloud.Cloud
	cluster *cluster.Cluster
	upf     *appsv1.Deployment
	pods    []*corev1.Pod  // of upf, as they were admitted
	closers []func() error // run in reverse order, once
}

// step is one chapter of the story.
type step struct {
	title string
	run   func(context.Context) error
}

func (d *demo) steps() []step {
	return []step{
		{"A cluster, a VPC with two workers, and the webhook", d.start},
		{"A Multus network, and a Deployment that has nothing but its annotation", d.deploy},
		{"What became of the pods at admission", d.admitted},
		{"The injected container gives the pods' addresses to the workers' ENIs", d.assign},
		{"A floating address moves between two pods with sidecars, and back", d.float},
		{"Nothing is left", d.clean},
	}
}

const introduction = `multus-ipmgr: pods with Multus addresses in a VPC, on this machine
real:      etcd, kube-apiserver, admission over TLS, the programs webhook and ipmgr, a network namespace per pod
simulated: EC2, IMDS and the VPC, by vpcsim; net1 is a veth interface with the worker ENI's MAC, as ipvlan's has
played:    Deployment controller, scheduler, Multus with whereabouts, kubelet; no application container runs
`

// inside plays the demo in the lab and returns the exit code.
func inside(o options, dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	interrupted := func() bool {
		_, err := fs.Stat(os.DirFS(dir), interruptedFile)
		return err == nil || ctx.Err() != nil
	}
	if interrupted() {
		return exitInterrupted
	}
	timed, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fmt.Fprint(os.Stdout, introduction)
	d := &demo{options: o, dir: dir}
	d.tell = story.New(os.Stdout, isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "", len(d.steps()))
	err := d.play(timed)
	left := d.close() // what an earlier end than the last step's has left
	switch {
	case err == nil && left == nil:
		return exitDone
	case interrupted() && left == nil:
		d.tell.Fails("interrupted; everything is cleaned up")
		return exitInterrupted
	}
	d.tell.Fails("%s", errors.Join(err, left))
	return exitFailed
}

// play runs the steps until one fails.
func (d *demo) play(ctx context.Context) error {
	for _, step := range d.steps() {
		d.tell.Step(step.title)
		if err := step.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// later has something done at the end, before what was there already.
func (d *demo) later(f func() error) { d.closers = append(d.closers, f) }

// close undoes everything, also when parts of it fail.
func (d *demo) close() error {
	var errs []error
	for _, undo := range slices.Backward(d.closers) {
		errs = append(errs, undo())
	}
	d.closers = nil
	return errors.Join(errs...)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
