package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

type subnet = topology.Subnet

const (
	clusterSubnet = "subnet-cluster"
	multusSubnet  = "subnet-multus"
	cable         = "eth1"
)

// host is an instance of the VPC: a network namespace whose eth1 is cabled to
// an ENI. A worker is a host that forwards for its pods.
type host struct {
	name     string
	instance string
	eth0     netip.Prefix
	eni      topology.ENI // of eth1
	net      *netlab.Pod
	unplug   func() error
	pods     []*pod
	crashed  bool
}

// newHost makes the namespace of an instance and plugs its ENI in.
func (d *demo) newHost(name, instance string) (*host, error) {
	i := slices.IndexFunc(d.vpc.topology.Instances, func(i topology.Instance) bool { return i.ID == instance })
	if i < 0 {
		return nil, fmt.Errorf("the topology has no %s", instance)
	}
	h := &host{name: name, instance: instance}
	for _, eni := range d.vpc.topology.Instances[i].ENIs {
		if eni.DeviceIndex == ledger.Device {
			h.eni = eni
		} else {
			h.eth0 = d.withLength(eni.Primary, eni.Subnet)
		}
	}
	var err error
	h.net, err = d.lab.Pod(netlab.PodSpec{
		Name: name, Eth0: h.eth0,
		Nets: []netlab.Net{{Name: cable, MAC: h.eni.MAC, Addrs: []netip.Prefix{d.withLength(h.eni.Primary, h.eni.Subnet)}}},
	})
	if err != nil {
		return nil, err
	}
	if h.unplug, err = h.net.Cable(cable, filepath.Join(d.vpc.wire, h.eni.ID+".sock")); err != nil {
		return nil, errors.Join(err, h.net.Close())
	}
	d.hosts = append(d.hosts, h)
	return h, h.net.Forward(cable)
}

// withLength returns an address with the length of its subnet.
func (d *demo) withLength(addr netip.Addr, id string) netip.Prefix {
	for _, s := range d.vpc.topology.Subnets {
		if s.ID == id {
			return netip.PrefixFrom(addr, s.CIDR.Bits())
		}
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

// attach gives a pod an interface of its worker's ENI, as ipvlan does: with the
// ENI's MAC, and the worker passes on what is for its address.
func (h *host) attach(p *pod, link string, addr netip.Prefix) error {
	port, err := p.net.Join(h.net, netlab.Net{Name: link, MAC: h.eni.MAC, Addrs: []netip.Prefix{addr}})
	if err != nil {
		return err
	}
	p.port = port
	return errors.Join(h.net.Forward(port), h.net.Route(addr.Addr(), port))
}

// float adds an address to the pod's interface, as keepalived does in it.
func (h *host) float(p *pod, link string, addr netip.Addr) error {
	return errors.Join(h.net.Route(addr, p.port), p.net.AddAddr(link, netip.PrefixFrom(addr, addr.BitLen())))
}

// crash ends a host and everything on it at once, without a word to anybody.
// A process that has ended is not an error.
func (h *host) crash() error {
	if h.crashed {
		return nil
	}
	h.crashed = true
	errs := []error{h.unplug()}
	for _, p := range h.pods {
		errs = append(errs, p.net.Close())
	}
	return errors.Join(append(errs, h.net.Close())...)
}
