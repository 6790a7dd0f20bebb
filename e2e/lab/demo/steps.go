package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	client "k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// The programs and objects that the story is about.
const (
	kubectl   = "kubectl"
	namespace = "multus-samples"
	sample    = "config/samples/whereabouts.yaml"
	session   = "e2e/lab/demo/session.yaml"
)

// delays are how long the simulated EC2 takes, about as in AWS.
const delays = `{"latency": "100ms", "dataPathLag": "500ms"}`

// start brings up all that is there before the first pod.
func (d *demo) start(ctx context.Context) error {
	d.tell.Say("starts in half a minute; programs that are missing are built first, once, which may take half an hour")
	told := &progress{out: os.Stderr}
	defer told.close()
	lab, err := programs.Dir("e2e/lab")
	if err != nil {
		return err
	}
	d.root = filepath.Join(lab, "..", "..")
	if d.bed, err = testbed.Start(ctx, testbed.Options{Dir: d.dir, Progress: told}); err != nil {
		return err
	}
	found, err := programs.Build(ctx, told, kubectl)
	if err != nil {
		return err
	}
	d.kubectl = found[kubectl]
	if d.kube, err = client.NewForConfig(d.bed.Config()); err != nil {
		return err
	}
	if err := d.bed.Sim().Set(delays); err != nil {
		return err
	}
	for _, command := range []string{"get nodes --no-headers", "-n " + testbed.System + " get deployments --no-headers"} {
		out, err := d.user(ctx, command)
		if err != nil {
			return err
		}
		d.tell.Show(out)
	}
	return nil
}

// deploy does what the article does, and looks who reaches whom.
func (d *demo) deploy(ctx context.Context) error {
	if _, err := d.user(ctx, "create namespace "+namespace, "apply -f "+sample); err != nil {
		return err
	}
	pods, err := d.replicas(ctx)
	if err != nil {
		return err
	}
	if err := d.hearEachOther(ctx, pods); err != nil {
		return err
	}
	d.showENIs(nil)
	if err := ledger.OnlyOnOneWorker(pictures(pods)); err != nil {
		return err
	}
	d.tell.Holds("pods on one worker reach each other, and pods on different workers do not: no ENI has their addresses")
	return nil
}

// optIn labels the namespace and restarts the Deployment.
func (d *demo) optIn(ctx context.Context) error {
	before, err := d.deployment(ctx)
	if err != nil {
		return err
	}
	for _, command := range []string{
		"label namespace " + namespace + " multus-ipmgr.io/inject=enabled",
		"-n " + namespace + " rollout restart deployment/" + busybox,
		"-n " + namespace + " rollout status deployment/" + busybox + " --timeout=9m",
	} {
		if _, err := d.user(ctx, command); err != nil {
			return err
		}
	}
	after, err := d.deployment(ctx)
	if err != nil {
		return err
	}
	if err := sameButRestarted(before, after); err != nil {
		return err
	}
	pods, err := d.replicas(ctx)
	if err != nil {
		return err
	}
	if err := injected(pods); err != nil {
		return err
	}
	out, err := d.user(ctx, "-n "+namespace+" logs "+pods[0].Name+" -c "+manager)
	if err != nil {
		return err
	}
	d.tell.Show(story.Readable(out, "mode", "pod"))
	d.tell.Holds("the Deployment is as it was, but for the annotation of every restart; each pod got the container %s", manager)
	return nil
}

// meet looks who reaches whom now, and what that took.
func (d *demo) meet(ctx context.Context) error {
	pods, err := d.replicas(ctx)
	if err != nil {
		return err
	}
	if err := d.hearEachOther(ctx, pods); err != nil {
		return err
	}
	held := d.showENIs(nil)
	if err := ledger.Everywhere(pictures(pods), held); err != nil {
		return err
	}
	calls, err := ledger.OnlyAssigned(d.bed.Sim().Calls(true), len(pods))
	if err != nil {
		return err
	}
	d.tell.Holds("every pod reaches every pod: each address is on the ENI of its pod's worker, by %d EC2 calls for %d pods", calls, len(pods))
	return nil
}

// showENIs prints the ENIs of eth1 and returns who holds what.
func (d *demo) showENIs(before ledger.Holders) ledger.Holders {
	rows, held := ledger.Rows(d.bed.Sim().ENIs(), before)
	d.tell.Table(ledger.Header(), rows)
	return held
}

// clean ends the lab and verifies that nothing of it is left.
func (d *demo) clean(ctx context.Context) error {
	if err := d.stop(ctx); err != nil {
		return err
	}
	if left := processesOf(d.dir); len(left) > 0 {
		return fmt.Errorf("processes are left: %s", strings.Join(left, ", "))
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return err
	}
	d.tell.Holds("the kernels and all other processes have ended, and the files are gone; nothing else was touched")
	return nil
}

// processesOf names the processes that run with files of a directory.
func processesOf(dir string) (names []string) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path) // a process may end meanwhile
		if strings.Contains(string(line), dir) {
			name, _, _ := strings.Cut(string(line), "\x00")
			names = append(names, filepath.Base(name)+" "+filepath.Base(filepath.Dir(path)))
		}
	}
	return names
}
