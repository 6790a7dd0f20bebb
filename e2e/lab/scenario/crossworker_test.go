//go:build lab

package scenario_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// podTimeout is for a busy machine: two pods take 12 s on an idle one.
const podTimeout = 3 * time.Minute

// The article's picture: Multus gives pods addresses of the VPC's subnet, and
// the VPC knows nothing of them. What multus-ipmgr does is done by hand here.
func TestPodsOnDifferentWorkersMeetOnceTheirAddressesAreAssigned(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"network.yaml", "pods.yaml"} {
		if err := bed.Apply(t.Context(), manifest(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	first, second := ready(t, "default", "first"), ready(t, "default", "second")
	if first.Worker == second.Worker {
		t.Fatalf("both pods are on %s", first.Worker)
	}
	here, there := onNet1(t, first), onNet1(t, second)
	for i, family := range []string{"IPv4", "IPv6"} {
		t.Run(family, func(t *testing.T) { meetByHand(t, first, second, here[i], there[i]) })
	}
}

// meetByHand shows that an echo needs both addresses assigned.
func meetByHand(t *testing.T, first, second testbed.Pod, here, there netip.Addr) {
	t.Helper()
	if ping(t, first.Address, there) {
		t.Errorf("%s answers though no ENI has it", there)
	}
	if owner, ok := bed.Sim().RoutedTo(there); ok {
		t.Errorf("%s is routed to %s", there, owner)
	}
	assign(t, "eni-w2-eth1", there)
	if ping(t, first.Address, there) {
		t.Errorf("%s answers %s, which no ENI has", there, here)
	}
	assign(t, "eni-w1-eth1", here)
	if !ping(t, first.Address, there) || !ping(t, second.Address, here) {
		t.Errorf("no echo between %s and %s; drops: %+v", here, there, bed.Sim().DataPlane().Status().Drops)
	}
	unassign(t, "eni-w2-eth1", there)
	if ping(t, first.Address, there) {
		t.Errorf("%s still answers though its ENI has lost it", there)
	}
	unassign(t, "eni-w1-eth1", here)
}

func ready(t *testing.T, namespace, name string) testbed.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	pod, err := bed.AwaitPod(ctx, namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s on %s: %s, net1 %s", pod.Name, pod.Worker, pod.Address, pod.Networks["net1"])
	return pod
}

// onNet1 returns a pod's addresses on net1, one of each family, which must be
// as Multus said.
func onNet1(t *testing.T, pod testbed.Pod) []netip.Addr {
	t.Helper()
	list := pod.Networks["net1"]
	if len(list) != 2 || !list[0].Is4() || !list[1].Is6() {
		t.Fatalf("%s has networks %v", pod.Name, pod.Networks)
	}
	has := addresses(t, pod.Address, "net1")
	for _, addr := range list {
		if !slices.Contains(has, addr) {
			t.Fatalf("%s has %s on net1, want %s", pod.Name, has, addr)
		}
	}
	return list
}

func cloud() *ec2.Client { return bed.Cloud() }

func assign(t *testing.T, eni string, addr netip.Addr) {
	t.Helper()
	var err error
	if addr.Is6() {
		_, err = cloud().AssignIpv6Addresses(t.Context(), &ec2.AssignIpv6AddressesInput{
			NetworkInterfaceId: &eni, Ipv6Addresses: []string{addr.String()},
		})
	} else {
		_, err = cloud().AssignPrivateIpAddresses(t.Context(), &ec2.AssignPrivateIpAddressesInput{
			NetworkInterfaceId: &eni, PrivateIpAddresses: []string{addr.String()},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	routed(t, addr, true)
}

func unassign(t *testing.T, eni string, addr netip.Addr) {
	t.Helper()
	var err error
	if addr.Is6() {
		_, err = cloud().UnassignIpv6Addresses(t.Context(), &ec2.UnassignIpv6AddressesInput{
			NetworkInterfaceId: &eni, Ipv6Addresses: []string{addr.String()},
		})
	} else {
		_, err = cloud().UnassignPrivateIpAddresses(t.Context(), &ec2.UnassignPrivateIpAddressesInput{
			NetworkInterfaceId: &eni, PrivateIpAddresses: []string{addr.String()},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	routed(t, addr, false)
}

// routed waits for the data path, which is later than the API.
func routed(t *testing.T, addr netip.Addr, want bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, ok := bed.Sim().RoutedTo(addr); ok == want {
			return
		}
	}
	t.Fatalf("%s routed: want %t", addr, want)
}
