package testbed

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestOnlyReadyEndpointsOfThePortAnswerForAService(t *testing.T) {
	yes, no := true, false
	port, other := "admission", "ops"
	number, otherNumber := int32(9443), int32(8080)
	slices := []discoveryv1.EndpointSlice{{
		Ports: []discoveryv1.EndpointPort{{Name: &other, Port: &otherNumber}, {Name: &port, Port: &number}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.244.1.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}},
			{Addresses: []string{"10.244.1.3"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
			{Addresses: []string{"10.244.2.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}},
		},
	}}
	want := []netip.AddrPort{netip.MustParseAddrPort("10.244.1.2:9443"), netip.MustParseAddrPort("10.244.2.2:9443")}
	if diff := cmp.Diff(want, endpointsOf(port, slices), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	service := corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: port, Port: 443}}}}
	if got := portName(service, 443); got != port {
		t.Errorf("port 443 is %q", got)
	}
}
