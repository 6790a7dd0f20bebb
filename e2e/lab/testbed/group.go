package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// nodegroup is the program that gives the ENIs to workers of groups.
const nodegroup = "nodegroup"

// launchTimeout bounds how long the simulated launch of an instance may take,
// which takes no time by default.
const launchTimeout = 10 * time.Second

// eniMTU is that of EC2's ENIs.
const eniMTU = 9001

// launched is the worker that the group of the topology launches.
func (l *Lab) launched(ctx context.Context) (worker, error) {
	ctx, cancel := context.WithTimeout(ctx, launchTimeout)
	defer cancel()
	for {
		if w, ok := l.member(); ok {
			var err error
			w.mac, err = net.ParseMAC(w.links[0].mac)
			w.links = nil
			return w, err
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return worker{}, errors.New("the group of the topology has launched no instance")
		}
	}
}

// member is the first instance of the group, with its ENI as its only link.
func (l *Lab) member() (worker, bool) {
	turn := len(l.workers)
	for _, g := range l.sim.Groups() {
		for _, m := range g.Members {
			for _, e := range l.enisOf(m.Instance) {
				return worker{
					joins: true, turn: turn, name: fmt.Sprintf("worker-%d", turn+1),
					instance: m.Instance, region: l.region(), zone: m.Zone, kind: l.workers[0].kind,
					address: netip.PrefixFrom(e.Primary, gateway.Bits()), pods: podsOf(turn), links: []link{{eni: e.ID, mac: e.MAC}},
				}, true
			}
		}
	}
	return worker{}, false
}

// enisOf lists the ENIs of an instance by device index.
func (l *Lab) enisOf(instance string) []vpcsim.ENI {
	enis := slices.DeleteFunc(l.sim.ENIs(), func(e vpcsim.ENI) bool { return e.Instance != instance })
	slices.SortFunc(enis, func(a, b vpcsim.ENI) int { return a.DeviceIndex - b.DeviceIndex })
	return enis
}

// Join boots the worker that the Auto Scaling group launched, with eth0 alone,
// and returns its name at once. Crash ends it.
func (l *Lab) Join() (name string, err error) {
	i := slices.IndexFunc(l.workers, func(w worker) bool { return w.joins })
	if i < 0 {
		return "", errors.New("no group launches a worker: Options.NodeGroup is not set")
	}
	return l.workers[i].name, l.Boot(l.workers[i].name)
}

// Instance returns the id of a worker's instance.
func (l *Lab) Instance(worker string) string {
	for _, w := range l.workers {
		if w.name == worker {
			return w.instance
		}
	}
	return ""
}

// Plug plugs into a running worker the ENIs that EC2 attached to it since it was
// booted, as EC2 does at the same time, and says how many there were.
func (l *Lab) Plug(ctx context.Context, worker string) (count int, err error) {
	kernel := l.kernels[worker]
	if kernel == nil {
		return 0, fmt.Errorf("worker %s does not run", worker)
	}
	for n, e := range l.enisOf(l.Instance(worker)) {
		if e.DeviceIndex == 0 || l.plugged[e.ID] {
			continue
		}
		if err := kernel.Plug(ctx, n, uml.Link{Socket: l.Cable(e.ID), MAC: e.MAC, MTU: eniMTU}); err != nil {
			return count, err
		}
		l.plugged[e.ID] = true
		count++
	}
	return count, nil
}

// NodeGroup runs the program nodegroup with settings, as NAME=VALUE, and
// returns what it wrote to either stream.
func (l *Lab) NodeGroup(ctx context.Context, settings []string, in io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.path(nodegroup), args...)
	cmd.Env = append([]string{
		"AWS_REGION=" + l.region(), "AWS_ENDPOINT_URL_EC2=" + l.vpc.EC2URL, "AWS_ENDPOINT_URL_AUTO_SCALING=" + l.vpc.AutoScalingURL,
		"AWS_ACCESS_KEY_ID=" + vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + vpcsim.SecretAccessKey,
	}, settings...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &out
	err := cmd.Run()
	return out.String(), err
}
