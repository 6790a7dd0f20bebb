package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cluster"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// patience bounds the whole story, which takes 10 to 15 s.
const patience = 5 * time.Minute

const introduction = `multus-ipmgr on this machine, in network namespaces
real:      the webhook's decisions, by its own handlers; the program ipmgr in each pod; pings, as frames through the VPC
simulated: EC2, IMDS and the VPC, by vpcsim; a call to EC2 takes 100 ms, and packets follow it after another 500 ms
played:    API server, controllers, scheduler, kubelet, Multus with whereabouts, keepalived; kubectl and aws, of which you see what
           you would type; ipvlan, by a veth pair with the ENI's MAC and a route on the worker, as not every kernel has it
`

const more = `make demo-lab tells this story without what is played: real kubelets, containerd, Multus, whereabouts, ipvlan and keepalived`

// demo is the state that the steps share.
type demo struct {
	dir   string
	ipmgr string // the program
	tell  *story.Story

	lab     *netlab.Lab
	vpc     *vpc
	cluster *cluster.Cluster
	hosts   []*host
	worker1 *host
	worker2 *host
	host    *host  // asks from outside of the workers
	pods    []*pod // of the Deployment

	leased   map[netip.Addr]bool // what IPAM has handed out
	lastEth0 netip.Addr
	closers  []func() error // run in reverse order, once
}

// step is one chapter of the story.
type step struct {
	title string
	run   func(context.Context) error
}

func (d *demo) steps() []step {
	return []step{
		{"A VPC with two workers", d.start},
		{"Without us: a Deployment with a Multus network", d.deploy},
		{"Opt in: a label, and a restart", d.optIn},
		{"The same Deployment, with its addresses on the workers' ENIs", d.meet},
		{"A worker dies, and its floating address goes on", d.failOver},
		{"A network whose addresses nobody reserved", d.refuse},
		{"Nothing is left", d.clean},
	}
}

// inside tells the story in the namespaces and returns the exit code.
func inside(ipmgr, dir string) int {
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
	began := time.Now()
	d := &demo{dir: dir, ipmgr: ipmgr, leased: map[netip.Addr]bool{}, lastEth0: netip.MustParseAddr(beforeFirstEth0)}
	fmt.Fprint(os.Stdout, introduction)
	d.tell = story.New(os.Stdout, isTerminal(os.Stdout) && os.Getenv("NO_COLOR") == "", len(d.steps()))
	err := d.play(timed)
	left := d.close() // what an earlier end than the last step's has left
	switch {
	case err == nil && left == nil:
		d.tell.Say("%s in all", story.Round(time.Since(began)))
		fmt.Fprintln(os.Stdout, "\n"+more)
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
		if err := ctx.Err(); err != nil {
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
