package service

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func slice(namespace, service, port string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Ports:      []discoveryv1.EndpointPort{{Name: &port, Port: new(int32(9443))}},
		Endpoints:  endpoints,
	}
}

func endpoint(address string, ready *bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ready}}
}

func TestRoutesLeadToTheReadyEndpointsOfAPort(t *testing.T) {
	services := []*corev1.Service{
		{
			ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "s"},
			Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []corev1.ServicePort{{Name: "admission", Port: 443}, {Name: "ops", Port: 80}}},
		},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "headless"}, Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}},
	}
	slices := []*discoveryv1.EndpointSlice{
		slice("a", "s", "admission", endpoint("10.244.0.1", new(true)), endpoint("10.244.0.2", new(false)), endpoint("10.244.0.3", nil)),
		slice("a", "s", "other", endpoint("10.244.0.4", new(true))),
		slice("a", "t", "admission", endpoint("10.244.0.5", new(true))),
		slice("b", "s", "admission", endpoint("10.244.0.6", new(true))),
	}
	want := map[netip.AddrPort][]netip.AddrPort{
		netip.MustParseAddrPort("10.96.0.1:443"): {netip.MustParseAddrPort("10.244.0.1:9443"), netip.MustParseAddrPort("10.244.0.3:9443")},
		netip.MustParseAddrPort("10.96.0.1:80"):  {},
	}
	if diff := cmp.Diff(want, routes(services, slices), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}
