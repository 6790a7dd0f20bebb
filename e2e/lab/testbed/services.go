package testbed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"
)

// clusterIPs is the range of the control plane's Services.
var clusterIPs = netip.MustParsePrefix("10.96.0.0/16")

// endpoint stands in for kube-proxy, on the way from the API server to
// webhooks: it chooses one of the ready pods behind a Service's address.
func (l *Lab) endpoint(ctx context.Context, to netip.AddrPort) (netip.AddrPort, error) {
	if !clusterIPs.Contains(to.Addr()) {
		return to, nil
	}
	kube, err := client.NewForConfig(l.Config())
	if err != nil {
		return netip.AddrPort{}, err
	}
	services, err := kube.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, s := range services.Items {
		if s.Spec.ClusterIP != to.Addr().String() {
			continue
		}
		slices, err := kube.DiscoveryV1().EndpointSlices(s.Namespace).List(ctx, metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + "=" + s.Name,
		})
		if err != nil {
			return netip.AddrPort{}, err
		}
		ready := endpointsOf(portName(s, to.Port()), slices.Items)
		if len(ready) == 0 {
			return netip.AddrPort{}, fmt.Errorf("service %s/%s has no ready endpoint for port %d", s.Namespace, s.Name, to.Port())
		}
		return ready[rand.IntN(len(ready))], nil
	}
	return netip.AddrPort{}, fmt.Errorf("no service has the address %s", to.Addr())
}

// portName returns the name of a Service's port, by which slices know it too.
func portName(s corev1.Service, number uint16) string {
	for _, p := range s.Spec.Ports {
		if p.Port == int32(number) {
			return p.Name
		}
	}
	return ""
}

// endpointsOf lists the ready endpoints of a port.
func endpointsOf(port string, slices []discoveryv1.EndpointSlice) (ready []netip.AddrPort) {
	for _, s := range slices {
		for _, p := range s.Ports {
			if p.Name == nil || *p.Name != port || p.Port == nil {
				continue
			}
			for _, e := range s.Endpoints {
				if addr, err := netip.ParseAddr(e.Addresses[0]); err == nil && e.Conditions.Ready != nil && *e.Conditions.Ready {
					ready = append(ready, netip.AddrPortFrom(addr, uint16(*p.Port)))
				}
			}
		}
	}
	return ready
}
