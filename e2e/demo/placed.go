package main

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cloud"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/podrun"
)

// container is the name of what the webhook injects.
const container = "multus-ipmgr"

// multusInterface is what Multus calls the first network of a pod.
const multusInterface = "net1"

// placed is a pod on a worker, with its network.
type placed struct {
	pod    *corev1.Pod
	worker cloud.Instance
	net    *netlab.Pod
	addrs  []netip.Prefix // of net1
}

// place puts a pod on a worker as the scheduler does, and makes its network as
// Multus does: net1 with the MAC of the worker's eth1, which ipvlan shares, and
// addresses of the network's ranges.
func (d *demo) place(ctx context.Context, pod *corev1.Pod, worker cloud.Instance) (*placed, error) {
	if err := d.cluster.Bind(ctx, pod, worker.Name()); err != nil {
		return nil, err
	}
	addrs, eth0, err := d.ipam.next()
	if err != nil {
		return nil, err
	}
	_, mac := worker.Multus()
	net, err := d.lab.Pod(netlab.PodSpec{
		Name: pod.Name, Eth0: eth0, Nets: []netlab.Net{{Name: multusInterface, MAC: mac, Addrs: addrs}},
	})
	if err != nil {
		return nil, err
	}
	if pod, err = d.cluster.Report(ctx, pod, worker.Eth0(), eth0.Addr()); err != nil {
		return nil, err
	}
	return &placed{pod: pod, worker: worker, net: net, addrs: addrs}, nil
}

// spread places pods on the workers in turn.
func (d *demo) spread(ctx context.Context, pods []*corev1.Pod) ([]*placed, error) {
	var all []*placed
	for i, pod := range pods {
		p, err := d.place(ctx, pod, d.topology.Instances[i%len(d.topology.Instances)])
		if err != nil {
			return nil, fmt.Errorf("place pod %s: %w", pod.Name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// run starts the injected container as the admitted pod says.
func (d *demo) run(ctx context.Context, p *placed) (*podrun.Container, error) {
	return podrun.Start(ctx, podrun.Options{Pod: p.pod, Container: container, Program: d.program("ipmgr"), Net: p.net})
}
