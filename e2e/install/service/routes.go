package service

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// routes lists the ready endpoints of each port of each Service.
func routes(services []*corev1.Service, slices []*discoveryv1.EndpointSlice) map[netip.AddrPort][]netip.AddrPort {
	table := map[netip.AddrPort][]netip.AddrPort{}
	for _, s := range services {
		address, err := netip.ParseAddr(s.Spec.ClusterIP)
		if err != nil {
			continue // headless
		}
		for _, port := range s.Spec.Ports {
			to := []netip.AddrPort{}
			for _, slice := range slices {
				if slice.Namespace == s.Namespace && slice.Labels[discoveryv1.LabelServiceName] == s.Name {
					to = append(to, ready(slice, port.Name)...)
				}
			}
			table[netip.AddrPortFrom(address, uint16(port.Port))] = to
		}
	}
	return table
}

// ready lists the ready endpoints of a slice for a port.
func ready(slice *discoveryv1.EndpointSlice, port string) (list []netip.AddrPort) {
	for _, p := range slice.Ports {
		if p.Port == nil || p.Name == nil || *p.Name != port {
			continue
		}
		for _, e := range slice.Endpoints {
			address, err := netip.ParseAddr(e.Addresses[0])
			if err == nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				list = append(list, netip.AddrPortFrom(address, uint16(*p.Port)))
			}
		}
	}
	return list
}
