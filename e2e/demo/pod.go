package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/kubelet"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// pod is a pod that runs.
type pod struct {
	*ledger.Pod

	object  *corev1.Pod
	net     *netlab.Pod
	port    string             // the worker's end of its interface
	manager *kubelet.Container // nil unless it was injected
}

// place gives a pod its network on a worker, as Multus and IPAM do.
func (d *demo) place(created *corev1.Pod, on *host) (*pod, error) {
	selected, addr, err := d.allocate(created)
	if err != nil {
		return nil, fmt.Errorf("pod %s: %w", created.Name, err)
	}
	d.lastEth0 = d.lastEth0.Next()
	p := &pod{
		Pod:    &ledger.Pod{Name: created.Name, Worker: on.name, ENI: on.eni.ID, Addr: addr},
		object: created.DeepCopy(),
	}
	p.net, err = d.lab.Pod(netlab.PodSpec{Name: created.Name, Eth0: d.withLength(d.lastEth0, clusterSubnet)})
	if err != nil {
		return nil, err
	}
	on.pods = append(on.pods, p)
	d.vpc.place(d.lastEth0, on.instance)
	p.object.Spec.NodeName, p.object.Status.HostIP, p.object.Status.PodIP = on.name, on.eth0.Addr().String(), d.lastEth0.String()
	return p, on.attach(p, selected.Interface, d.withLength(addr, multusSubnet))
}

// allocate chooses an address for a pod's one network: the lowest that is free,
// as whereabouts does, or the one that the pod asks for, as static does.
func (d *demo) allocate(created *corev1.Pod) (nad.Selection, netip.Addr, error) {
	selections, err := nad.Selections(created.Namespace, created.Annotations[nad.NetworksAnnotation])
	if err != nil {
		return nad.Selection{}, netip.Addr{}, err
	}
	if len(selections) != 1 {
		return nad.Selection{}, netip.Addr{}, fmt.Errorf("it selects %d networks, and the demo plays one", len(selections))
	}
	network, err := d.cluster.Network(selections[0].Namespace, selections[0].Name)
	if err != nil {
		return selections[0], netip.Addr{}, err
	}
	ranges, _ := network.Addresses(selections[0])
	for _, r := range ranges {
		for addr := r.First; r.Contains(addr); addr = addr.Next() {
			if !d.leased[addr] {
				d.leased[addr] = true
				return selections[0], addr, nil
			}
		}
	}
	return selections[0], netip.Addr{}, errors.New("its network has no free address")
}

// manage runs the injected container as the kubelet does, until the application
// may start: an init container to its end, a sidecar until its startup probe
// succeeds.
func (d *demo) manage(ctx context.Context, p *pod) (err error) {
	if len(p.object.Spec.InitContainers) == 0 {
		return nil
	}
	first := p.object.Spec.InitContainers[0]
	if first.Name != inject.ContainerName {
		return fmt.Errorf("pod %s: its first container is %s, want %s", p.Name, first.Name, inject.ContainerName)
	}
	p.manager, err = kubelet.StartContainer(ctx, kubelet.ContainerOptions{Pod: p.object, Container: first.Name, Program: d.ipmgr, Sandbox: p.net})
	if err != nil {
		return err
	}
	if first.RestartPolicy != nil && *first.RestartPolicy == corev1.ContainerRestartPolicyAlways {
		if err := p.manager.Started(ctx); err != nil {
			return fmt.Errorf("pod %s: %w; its log:\n%s", p.Name, err, p.manager.Log())
		}
		return nil
	}
	exit, err := p.manager.Wait(ctx)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("pod %s: %s ended with %d: %s", p.Name, first.Name, exit.Code, exit.Message)
	}
	return err
}

// remove ends a pod and gives its address back.
func (d *demo) remove(p *pod) error {
	delete(d.leased, p.Addr)
	for _, h := range d.hosts {
		for i, other := range h.pods {
			if other == p {
				h.pods = append(h.pods[:i], h.pods[i+1:]...)
				break
			}
		}
	}
	return p.net.Close()
}
