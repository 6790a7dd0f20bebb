package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/config/samples"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cluster"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/version"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

const (
	namespace = "multus-samples"
	sample    = "config/samples/whereabouts.yaml"
	secondary = "net1"
	// beforeFirstEth0 is the address before that of the first pod's eth0.
	beforeFirstEth0 = "10.10.12.99"
)

const (
	// deaf is how long a pod pings those that are not to answer.
	deaf = 2 * time.Second
	// hearing is how long a pod may take to hear those that are to answer: EC2's
	// data path lags half a second behind, and the machine may be busy.
	hearing = 30 * time.Second
)

// start brings up all that is there before the first pod.
func (d *demo) start(ctx context.Context) (err error) {
	if _, err := os.Stat(d.ipmgr); err != nil {
		return fmt.Errorf("%w: make demo builds it", err)
	}
	if d.lab, err = netlab.New(netlab.Options{}); err != nil {
		return err
	}
	d.later(d.lab.Close)
	if d.vpc, err = newVPC(ctx, d.lab, d.dir); err != nil {
		return err
	}
	d.later(d.vpc.close)
	if err := d.startHosts(); err != nil {
		return err
	}
	d.cluster = cluster.New(d.policy(), slog.New(slog.DiscardHandler))
	if err := d.readReservations(ctx); err != nil {
		return err
	}
	d.showENIs(nil)
	return nil
}

// startHosts makes the workers and the host.
func (d *demo) startHosts() error {
	for _, h := range []struct {
		in             **host
		name, instance string
	}{{&d.worker1, "worker-1", "i-worker1"}, {&d.worker2, "worker-2", "i-worker2"}, {&d.host, "host", "i-host"}} {
		made, err := d.newHost(h.name, h.instance)
		if made != nil {
			d.later(made.crash)
		}
		if err != nil {
			return err
		}
		*h.in = made
	}
	return nil
}

// policy is what an installation in this VPC chooses.
func (d *demo) policy() inject.Policy {
	p := inject.DefaultPolicy()
	p.Image, p.Version = "ipmgr", version.String()
	p.Env = []corev1.EnvVar{{Name: "AWS_REGION", Value: d.vpc.topology.Region}, {Name: "AWS_ENDPOINT_URL_EC2", Value: d.vpc.server.EC2URL}}
	return p
}

// readReservations does once what the controller does all the time.
func (d *demo) readReservations(ctx context.Context) error {
	reservations, err := d.vpc.reservations(ctx)
	if err != nil {
		return err
	}
	d.cluster.Reserve(reservations)
	return nil
}

// deploy does what the article does, and looks who reaches whom.
func (d *demo) deploy(ctx context.Context) error {
	d.tell.Say("$ kubectl create namespace %s && kubectl apply -f %s", namespace, sample)
	d.cluster.CreateNamespace(namespace)
	objects, err := load(samples.Whereabouts())
	if err != nil {
		return err
	}
	if err := d.cluster.CreateNAD(ctx, objects.nads[0]); err != nil {
		return err
	}
	if err := d.replicas(ctx); err != nil {
		return err
	}
	if err := d.hearEachOther(ctx, deaf); err != nil {
		return err
	}
	d.showENIs(nil)
	d.showDrops()
	if err := ledger.OnlyOnOneWorker(pictures(d.pods)); err != nil {
		return err
	}
	d.tell.Holds("pods on one worker reach each other, and pods on different workers do not: no ENI has their addresses")
	return nil
}

// replicas creates the pods of the Deployment, spread over the workers, and runs
// them until their applications may start.
func (d *demo) replicas(ctx context.Context) error {
	objects, err := load(samples.Whereabouts())
	if err != nil {
		return err
	}
	d.pods = nil
	for i := range int(*objects.deployment.Spec.Replicas) {
		template := objects.deployment.Spec.Template.DeepCopy()
		created := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
		created.GenerateName, created.Namespace = objects.deployment.Name+"-", namespace
		if created, err = d.cluster.CreatePod(ctx, created); err != nil {
			return err
		}
		p, err := d.place(created, []*host{d.worker1, d.worker2}[i%2])
		if err != nil {
			return err
		}
		d.pods = append(d.pods, p)
	}
	slices.SortFunc(d.pods, func(a, b *pod) int { return strings.Compare(a.Worker+a.Addr.String(), b.Worker+b.Addr.String()) })
	var group errgroup.Group
	for _, p := range d.pods {
		group.Go(func() error { return d.manage(ctx, p) })
	}
	return group.Wait()
}

// hearEachOther lets all pods ping all others and tells who was heard.
func (d *demo) hearEachOther(ctx context.Context, limit time.Duration) error {
	d.tell.Say("in each pod, for all others: $ ping ADDRESS")
	var group errgroup.Group
	for _, p := range d.pods {
		var others []netip.Addr
		for _, other := range d.pods {
			if other != p {
				others = append(others, other.Addr)
			}
		}
		group.Go(func() (err error) {
			p.Heard, err = answers(ctx, p.net, p.Addr, others, limit)
			return err
		})
	}
	err := group.Wait()
	d.tell.Table(ledger.PodHeader(), ledger.PodRows(pictures(d.pods)))
	return err
}

// pictures are what the story shows of pods.
func pictures(pods []*pod) []*ledger.Pod {
	var all []*ledger.Pod
	for _, p := range pods {
		all = append(all, p.Pod)
	}
	return all
}

// showENIs prints the workers' ENIs and returns who holds what.
func (d *demo) showENIs(before ledger.Holders) ledger.Holders {
	rows, held := ledger.Rows(d.vpc.sim.ENIs(), before, d.worker1.instance, d.worker2.instance)
	d.tell.Table(ledger.Header(), rows)
	return held
}

// showDrops says what became of the pings that were not answered.
func (d *demo) showDrops() {
	var rows [][]string
	for _, drop := range d.vpc.sim.DataPlane().Status().Drops {
		if strings.HasSuffix(string(drop.Reason), "address") || drop.Reason == "no-owner" {
			rows = append(rows, []string{string(drop.Reason), drop.Detail, drop.From, fmt.Sprint(drop.Count)})
		}
	}
	d.tell.Table([]string{"DROPPED BY THE VPC", "ADDRESS", "FROM", "PACKETS"}, rows)
}

// optIn labels the namespace and restarts the Deployment.
func (d *demo) optIn(ctx context.Context) error {
	d.tell.Say("$ kubectl label namespace %s %s=%s", namespace, inject.InjectLabel, inject.Enabled)
	if err := d.cluster.Label(namespace, inject.InjectLabel, inject.Enabled); err != nil {
		return err
	}
	d.tell.Say("$ kubectl -n %s rollout restart deployment/busybox", namespace)
	for _, p := range d.pods {
		if err := d.remove(p); err != nil {
			return err
		}
	}
	if err := d.replicas(ctx); err != nil {
		return err
	}
	for _, p := range d.pods {
		if p.manager == nil {
			return fmt.Errorf("pod %s: the webhook added no container %s", p.Name, inject.ContainerName)
		}
	}
	first := d.pods[0]
	d.tell.Say("the webhook's answer to pod %s: first container %s, args %v, and", first.Name, inject.ContainerName, first.object.Spec.InitContainers[0].Args)
	d.tell.Show(settings(first.object.Spec.InitContainers[0]))
	d.tell.Say("$ kubectl -n %s logs %s -c %s", namespace, first.Name, inject.ContainerName)
	d.tell.Show(story.Readable(first.manager.Log(), "mode", "pod"))
	d.tell.Holds("no manifest has changed; each pod got the container %s, and its application starts only after it", inject.ContainerName)
	return nil
}

// settings lists the variables of a container that the webhook chose.
func settings(c corev1.Container) string {
	var out strings.Builder
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			fmt.Fprintf(&out, "%s=%s\n", v.Name, v.Value)
		}
	}
	return out.String()
}

// meet looks who reaches whom now, and what that took.
func (d *demo) meet(ctx context.Context) error {
	if err := d.hearEachOther(ctx, hearing); err != nil {
		return err
	}
	held := d.showENIs(nil)
	if err := ledger.Everywhere(pictures(d.pods), held); err != nil {
		return err
	}
	calls, err := ledger.OnlyAssigned(d.vpc.sim.Calls(true), len(d.pods))
	if err != nil {
		return err
	}
	d.tell.Holds("every pod reaches every pod: each address is on the ENI of its pod's worker, by %d EC2 calls for %d pods", calls, len(d.pods))
	return nil
}

// clean ends everything and verifies that nothing of it is left.
func (d *demo) clean(context.Context) error {
	if err := d.close(); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(d.dir, "*", "*"))
	if err != nil {
		return err
	}
	if children := children(); len(children) > 0 || len(left) > 0 {
		return fmt.Errorf("processes %q and files %q are left", children, left)
	}
	d.tell.Holds("the processes have ended, and their namespaces and files are gone; nothing else was touched")
	return nil
}

// children lists the processes that this one has started, if the kernel tells.
func children() []string {
	var all []string
	threads, _ := filepath.Glob("/proc/self/task/*/children") // the pattern is well-formed
	for _, path := range threads {
		list, _ := os.ReadFile(path) // a thread may end meanwhile
		all = append(all, strings.Fields(string(list))...)
	}
	return all
}
