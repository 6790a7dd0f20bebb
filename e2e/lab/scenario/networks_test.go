//go:build lab

package scenario_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// A pod may use all ENIs of its worker. Two of them are in one subnet, so only
// the MAC of the pod's interface shows which of them an address belongs to.
func TestPodsMeetByEveryENIOfTheirWorkers(t *testing.T) {
	t.Parallel()
	for _, taken := range []*sync.Mutex{&device, &shared} {
		taken.Lock()
		t.Cleanup(taken.Unlock)
	}
	t.Cleanup(func() { restoreDevices(t) }) // after the pods are gone
	optedOut(t, "networks-bare")
	// The primary address of an ENI that moves into a pod is in no reservation.
	optedIn(t, "networks", "multus-ipmgr.io/validate=warn")
	for _, namespace := range []string{"networks-bare", "networks"} {
		apply(t, namespace, "networks.yaml")
	}
	since := len(bed.Sim().Calls(true))
	for n := 1; n <= 2; n++ {
		start(t,
			box{namespace: "networks-bare", name: fmt.Sprintf("without-%d", n), networks: onSharedENIs(n + 2)},
			box{namespace: "networks", name: fmt.Sprintf("with-%d", n), networks: onEveryENI(n)})
	}
	without := []testbed.Pod{ready(t, "networks-bare", "without-1"), ready(t, "networks-bare", "without-2")}
	with := []testbed.Pod{ready(t, "networks", "with-1"), ready(t, "networks", "with-2")}
	t.Cleanup(func() { giveBack(t, with...) })

	for _, addrs := range without[1].Networks {
		for _, addr := range addrs {
			if ping(t, without[0].Address, addr) {
				t.Errorf("%s of a pod without the IP manager answers; it is on %v", addr, holders(addr))
			}
		}
	}
	for i, pod := range with {
		for link, addrs := range with[1-i].Networks {
			for _, addr := range addrs {
				if !ping(t, pod.Address, addr) {
					t.Errorf("%s gets no echo from %s on %s of %s; drops: %+v", pod.Name, addr, link, with[1-i].Name, bed.Sim().DataPlane().Status().Drops)
				}
			}
		}
	}
	for i, pod := range with {
		for link, addrs := range pod.Networks {
			oneCallEach(t, since, fmt.Sprintf("eni-w%d-eth%s", i+1, strings.TrimPrefix(link, "net")), addrs)
		}
	}
}

// EC2 is asked by eth0, wherever the pod's default route leads: on net1 nothing
// arrives before EC2 has been asked.
func TestPodsWithTheirDefaultRouteOnNet1ReachEC2AndOtherSubnets(t *testing.T) {
	t.Parallel()
	optedOut(t, "routes-bare")
	optedIn(t, "routes")
	for _, namespace := range []string{"routes-bare", "routes"} {
		apply(t, namespace, "routes.yaml")
	}
	apply(t, "routes", "routes-pod.yaml")
	start(t,
		box{namespace: "routes", name: "given-1", networks: static("given", inSubnet(1, 106)...)},
		box{namespace: "routes-bare", name: "given-1", networks: static("given", inSubnet(1, 107)...)},
		box{namespace: "routes", name: "beside-2", networks: static("beside", inSubnet(2, 75)...)})
	beside, bare := ready(t, "routes", "beside-2"), ready(t, "routes-bare", "given-1")
	for _, addr := range bare.Networks["net1"] {
		if ping(t, beside.Address, addr) {
			t.Errorf("%s of a pod without the IP manager answers; it is on %v", addr, holders(addr))
		}
	}
	// What a pod answers to another subnet takes its default route.
	given, asked := ready(t, "routes", "given-1"), ready(t, "routes", "asked-1")
	t.Cleanup(func() { giveBack(t, beside, given, asked) })
	meet(t, beside, given)
	meet(t, beside, asked)
	meet(t, asked, beside)
}

// inSubnet returns the addresses of both families that end in the same number,
// in the subnet of eth1 (1) or eth2 (2): .75 and ::75.
func inSubnet(subnet, last int) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.10.%d.%d/24", subnet, last)),
		netip.MustParsePrefix(fmt.Sprintf("2600:1f13:0:%d::b%d/64", subnet, last%10)),
	}
}

// onSharedENIs is the annotation of a pod with an ipvlan link, net1 to net3, on
// each of three ENIs.
func onSharedENIs(n int) string {
	return fmt.Sprintf(`[
		{"name":"first","ips":["10.10.1.%[1]d/28","2600:1f13:0:1::b%[3]d/124"]},
		{"name":"second","ips":["10.10.2.7%[3]d/24","2600:1f13:0:2::b%[3]d/64"]},
		{"name":"third","ips":["10.10.1.%[2]d/28","2600:1f13:0:1::c%[3]d/124"]}]`, 100+n, 114+n, n)
}

// onEveryENI adds the fourth ENI, with its primary address and two more.
func onEveryENI(n int) string {
	return strings.TrimSuffix(onSharedENIs(n), "]") + fmt.Sprintf(
		`,{"name":"device","ips":["10.10.3.1%[1]d/24","10.10.3.7%[1]d/24","2600:1f13:0:3::b%[1]d/64"]}]`, n)
}

// oneCallEach holds that addresses are on their ENI and on no other one, and
// came there by one call for each family, none of them for a primary address. A
// worker that has no time may miss an answer and repeat the call.
func oneCallEach(t *testing.T, since int, eni string, addrs []netip.Addr) {
	t.Helper()
	for _, addr := range addrs {
		if got := holders(addr); !slices.Equal(got, []string{eni}) {
			t.Errorf("%s is on %v, want %s", addr, got, eni)
		}
	}
	calls := map[string]int{}
	for _, c := range bed.Sim().Calls(true)[since:] {
		if c.Params["NetworkInterfaceId"] == eni && isAbout(c, addrs) {
			calls[c.Action]++
		}
	}
	v4, v6 := calls["AssignPrivateIpAddresses"], calls["AssignIpv6Addresses"]
	if v4 < 1 || v4 > 2 || v6 < 1 || v6 > 2 || len(calls) != 2 {
		t.Errorf("calls for %s: %v, want one for each family", eni, calls)
	}
}

// isAbout reports whether a call is about one of the addresses.
func isAbout(c vpcsim.Call, addrs []netip.Addr) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(c.Params)), func(value string) bool {
		addr, err := netip.ParseAddr(value)
		return err == nil && slices.Contains(addrs, addr)
	})
}

// restoreDevices gives the workers' eth4 what it lost in the pods.
func restoreDevices(t *testing.T) {
	t.Helper()
	for n := 1; n <= 2; n++ {
		inWorker(t, fmt.Sprintf("worker-%d", n), fmt.Sprintf(
			"ip link set eth4 up && ip addr replace 10.10.3.1%[1]d/24 dev eth4 && ip addr replace 2600:1f13:0:3::1%[1]d/64 dev eth4 nodad", n))
	}
}

// inWorker runs a line of shell in a worker.
func inWorker(t *testing.T, worker, line string) {
	t.Helper()
	var out strings.Builder
	if err := bed.Run(context.WithoutCancel(t.Context()), worker, &out, "/bin/sh", "-c", line); err != nil {
		t.Errorf("%s: %s: %v: %s", worker, line, err, out.String())
	}
}
