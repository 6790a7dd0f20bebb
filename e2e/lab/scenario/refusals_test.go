//go:build lab

package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// What EC2 refuses keeps the pod in Init, and the message that kubectl describe
// shows names the address, the ENI and what to do.
func TestARefusedPodSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	device.Lock() // an ENI that is full would refuse others' pods too
	t.Cleanup(device.Unlock)
	const namespace = "refused"
	optedIn(t, namespace, "multus-ipmgr.io/validate=off") // what admission would refuse goes through
	for _, master := range []string{"eth1", "eth4"} {
		apply(t, namespace, "static.yaml", "MASTER", master, "name: static", "name: "+master, `"name": "static"`, `"name": "`+master+`"`)
	}
	fill(t, "eni-w1-eth4")
	// IMDS shows the subnets of the worker's ENIs; without it, EC2 has to refuse.
	refusal := map[int32]string{1: "InvalidParameterValue", 2: "OutsideSubnet"}
	cases := []struct {
		pod, network, address string
		words                 []string
	}{
		{"full-1", "eth4", "10.10.3.120/24", []string{"10.10.3.120", "eni-w1-eth4", "PrivateIpAddressLimitExceeded"}},
		{"outside-1", "eth1", "10.10.9.8/24", []string{"10.10.9.8", "eni-w1-eth1", refusal[hopLimit("i-worker1")]}},
		{"outside-2", "eth1", "10.10.9.9/24", []string{"10.10.9.9", "eni-w2-eth1", refusal[hopLimit("i-worker2")]}},
	}
	for _, c := range cases {
		start(t, box{namespace: namespace, name: c.pod, networks: static(c.network, netip.MustParsePrefix(c.address))})
	}
	for _, c := range cases {
		stuck(t, namespace, c.pod, c.words...)
	}
}

// stuck waits for a pod that has reported why it does not start.
func stuck(t *testing.T, namespace, name string, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), podTimeout)
	defer cancel()
	var message string
	within(ctx, t, name+" says why it does not start", func(ctx context.Context) error {
		pod, err := kube(t).CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil || len(pod.Status.InitContainerStatuses) == 0 {
			return errors.Join(err, errors.New("it has not started"))
		}
		for _, c := range pod.Status.ContainerStatuses {
			if c.Started != nil && *c.Started {
				t.Errorf("%s: container %s has started", name, c.Name)
			}
		}
		s := pod.Status.InitContainerStatuses[0]
		if s.State.Terminated != nil {
			message = s.State.Terminated.Message
		} else if s.LastTerminationState.Terminated != nil {
			message = s.LastTerminationState.Terminated.Message
		}
		if message == "" {
			return fmt.Errorf("no message yet: %+v", s.State)
		}
		for _, word := range words {
			if !strings.Contains(message, word) { // a busy worker may first find IMDS too slow
				return fmt.Errorf("it does not say %q: %s", word, message)
			}
		}
		return nil
	})
	t.Logf("%s: %s", name, message)
}

// fill gives an ENI in subnet-device as many addresses as it can have, until
// the test's end.
func fill(t *testing.T, eni string) {
	t.Helper()
	var mine []string
	for last := 130; ; last++ {
		addr := fmt.Sprintf("10.10.3.%d", last)
		_, err := cloud().AssignPrivateIpAddresses(t.Context(), &ec2.AssignPrivateIpAddressesInput{
			NetworkInterfaceId: &eni, PrivateIpAddresses: []string{addr},
		})
		if err != nil {
			if !strings.Contains(err.Error(), "PrivateIpAddressLimitExceeded") {
				t.Fatal(err)
			}
			break
		}
		mine = append(mine, addr)
	}
	t.Cleanup(func() {
		_, err := cloud().UnassignPrivateIpAddresses(context.WithoutCancel(t.Context()), &ec2.UnassignPrivateIpAddressesInput{
			NetworkInterfaceId: &eni, PrivateIpAddresses: mine,
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Without the permission nothing starts, and starts once it is there.
func TestAPodWithoutPermissionSaysSoAndStartsWhenItIsGranted(t *testing.T) {
	const namespace = "forbidden"
	optedIn(t, namespace)
	apply(t, namespace, "static.yaml", "MASTER", "eth1")
	err := bed.Sim().Inject(vpcsim.Fault{
		Action: "AssignPrivateIpAddresses", Code: "UnauthorizedOperation", Status: 403, Count: vpcsim.Forever,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bed.Sim().Reset)
	start(t, box{namespace: namespace, name: "upf-1", networks: static("static", dual(125)[:1]...)})
	stuck(t, namespace, "upf-1", "10.10.1.125", "eni-w1-eth1", "UnauthorizedOperation", "ec2:AssignPrivateIpAddresses")
	bed.Sim().Reset()
	ready(t, namespace, "upf-1")
}

// DHCP gives a new ENI any address that is free: a planned pod address too, if
// nobody reserved it.
func TestAWorkerThatTookAPodsAddressIsNamedAndAReservationPreventsIt(t *testing.T) {
	t.Parallel()
	device.Lock()
	t.Cleanup(device.Unlock)
	const namespace, subnet, reserved = "conflict", "subnet-device", "10.10.3.64/26"
	unreserve(t, subnet, reserved)
	taken := newENI(t, subnet)
	optedIn(t, namespace, "multus-ipmgr.io/validate=off")
	apply(t, namespace, "static.yaml", "MASTER", "eth4")
	start(t, box{namespace: namespace, name: "upf-1", networks: static("static", netip.PrefixFrom(taken, 24))})
	stuck(t, namespace, "upf-1", taken.String(), "PrimaryAddress", "reserv")

	reserve(t, subnet, reserved)
	for range 40 {
		if addr := newENI(t, subnet); netip.MustParsePrefix(reserved).Contains(addr) {
			t.Errorf("a new ENI got %s of the reservation %s", addr, reserved)
		}
	}
}

// newENI makes an ENI with an address of EC2's choice, as a new worker's, until
// the test's end.
func newENI(t *testing.T, subnet string) netip.Addr {
	t.Helper()
	made, err := cloud().CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: &subnet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := cloud().DeleteNetworkInterface(context.WithoutCancel(t.Context()), &ec2.DeleteNetworkInterfaceInput{
			NetworkInterfaceId: made.NetworkInterface.NetworkInterfaceId,
		})
		if err != nil {
			t.Error(err)
		}
	})
	return netip.MustParseAddr(*made.NetworkInterface.PrivateIpAddress)
}

// unreserve removes a reservation, and sees to it that it is there at the end.
func unreserve(t *testing.T, subnet, cidr string) {
	t.Helper()
	list, err := cloud().GetSubnetCidrReservations(t.Context(), &ec2.GetSubnetCidrReservationsInput{SubnetId: &subnet})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.SubnetIpv4CidrReservations, func(r types.SubnetCidrReservation) bool { return aws.ToString(r.Cidr) == cidr })
	if i < 0 {
		t.Fatalf("%s has no reservation %s", subnet, cidr)
	}
	_, err = cloud().DeleteSubnetCidrReservation(t.Context(), &ec2.DeleteSubnetCidrReservationInput{
		SubnetCidrReservationId: list.SubnetIpv4CidrReservations[i].SubnetCidrReservationId,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			reserve(t, subnet, cidr)
		}
	})
}

func reserve(t *testing.T, subnet, cidr string) {
	t.Helper()
	_, err := cloud().CreateSubnetCidrReservation(context.WithoutCancel(t.Context()), &ec2.CreateSubnetCidrReservationInput{
		SubnetId: &subnet, Cidr: &cidr, ReservationType: types.SubnetCidrReservationTypeExplicit,
	})
	if err != nil && !t.Failed() { // a failed test may have come so far
		t.Fatal(err)
	}
}
