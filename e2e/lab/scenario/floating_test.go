//go:build lab

package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

const (
	floatingNamespace = "floating"
	// lostEnough is how many probes must be lost before an address counts as
	// not reachable.
	lostEnough = 50
	// crashTimeout is for a busy machine: a worker is back in 8 s, its pods in 20.
	crashTimeout = 3 * time.Minute
)

// floating is a pair of pods and what moves between them.
type floating struct {
	outside   *testbed.Outside
	pods      []testbed.Pod // on worker-1 and worker-2
	addresses []netip.Prefix
}

// A floating address is added by the application, keepalived or an operator on
// one pod and later on another. Here the test plays the application, so that
// nothing but the move itself is measured.
func TestAFloatingAddressMovesBetweenWorkers(t *testing.T) {
	f := &floating{addresses: []netip.Prefix{netip.MustParsePrefix("10.10.1.98/32"), netip.MustParsePrefix("2600:1f13:0:1::a8/128")}}
	t.Cleanup(func() { forget(t, f.addresses) }) // once the pods are gone
	optedIn(t, floatingNamespace, "pod-security.kubernetes.io/enforce=privileged")
	apply(t, floatingNamespace, "floating.yaml")
	f.pods = readyPods(t, floatingNamespace, "app=floating", 2)
	unmanaged := readyPods(t, floatingNamespace, "app=unmanaged", 1)[0]
	f.outside = outside(t)
	slowEC2(t, "500ms")
	t.Run("nowhere without multus-ipmgr", func(t *testing.T) { f.nowhere(t, unmanaged) })
	t.Run("as planned", f.planned)
	t.Run("when its pod crashes", f.podCrash)
	t.Run("when the worker's kernel crashes", f.workerCrash)
}

// nowhere shows the fault: the pod has the address, and the VPC does not know.
func (f *floating) nowhere(t *testing.T, pod testbed.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	for _, address := range f.addresses {
		p, err := f.outside.Probe(address.Addr())
		if err != nil {
			t.Fatal(err)
		}
		change(t, pod, http.MethodPut, address)
		within(ctx, t, fmt.Sprintf("%d probes of %s", lostEnough, address), func(context.Context) error {
			if r := p.Report(); r.Asked < lostEnough {
				return fmt.Errorf("%d were asked", r.Asked)
			}
			return nil
		})
		change(t, pod, http.MethodDelete, address)
		if r := p.Stop(); r.Answered > 0 || len(holders(address.Addr())) > 0 {
			t.Errorf("%s of %s answers %d probes, and EC2 has it on %v", address, pod.Name, r.Answered, holders(address.Addr()))
		}
	}
}

// planned moves each address there and back, some times.
func (f *floating) planned(t *testing.T) {
	for i, moves := range plannedMoves() {
		address := f.addresses[i]
		change(t, f.pods[0], http.MethodPut, address)
		for n := range moves {
			m := f.watch(t, "planned", address, f.pods[n%2], f.pods[(n+1)%2])
			change(t, m.from, http.MethodDelete, address)
			m.arrive(t)
			m.finish(t)
		}
		change(t, f.pods[0], http.MethodDelete, address)
	}
}

// plannedMoves is how often the IPv4 and the IPv6 address move: as often as
// figures need when there is a file for them. The numbers are even, so that an
// address ends where it began.
func plannedMoves() []int {
	if os.Getenv(figuresKey) != "" {
		return []int{8, 6}
	}
	return []int{2, 2}
}

// podCrash kills all processes of the pod that has the addresses.
func (f *floating) podCrash(t *testing.T) {
	old := containers(t, floatingNamespace, f.pods[0].Name)
	f.crash(t, "crash of the pod", f.pods[0], f.pods[1], func(ctx context.Context) error {
		var out strings.Builder
		err := bed.Run(ctx, f.pods[0].Worker, &out, "/lab/bin/podbox", "signal", "KILL", "pod", old[0])
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out.String())
		}
		return err
	})
	f.pods[0] = restarted(t, floatingNamespace, f.pods[0].Name, old)
	for _, address := range f.addresses {
		if slices.Contains(addresses(t, f.pods[0].Address, "net1"), address.Addr()) {
			t.Errorf("%s has come back with %s, which is %s's now", f.pods[0].Name, address, f.pods[1].Name)
		}
		change(t, f.pods[1], http.MethodDelete, address)
	}
}

// workerCrash takes the power from the worker of the pod that has the addresses.
func (f *floating) workerCrash(t *testing.T) {
	worker := f.pods[1].Worker
	before := running(t, worker)
	f.crash(t, "crash of the worker", f.pods[1], f.pods[0], func(ctx context.Context) error { return bed.Crash(ctx, worker) })
	if err := bed.Boot(worker); err != nil {
		t.Fatal(err)
	}
	for _, p := range before {
		restarted(t, p.Namespace, p.Name, idsOf(p))
	}
}

// crash lets a pod have both addresses, ends it, and gives them to the other.
func (f *floating) crash(t *testing.T, what string, from, to testbed.Pod, end func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), crashTimeout)
	defer cancel()
	var moves []*move
	for _, address := range f.addresses {
		change(t, from, http.MethodPut, address)
		moves = append(moves, f.watch(t, what, address, from, to))
	}
	if err := end(ctx); err != nil {
		t.Fatal(err)
	}
	for _, m := range moves {
		m.arrive(t)
	}
	for _, m := range moves {
		m.finish(t)
	}
}

// slowEC2 lets packets follow an assignment as late as in a real VPC, until the
// test's end.
func slowEC2(t *testing.T, lag string) {
	t.Helper()
	before := time.Duration(bed.Sim().Settings().DataPathLag)
	if err := bed.Sim().Set(fmt.Sprintf(`{"dataPathLag": %q}`, lag)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.Sim().Set(fmt.Sprintf(`{"dataPathLag": %q}`, before)); err != nil {
			t.Error(err)
		}
	})
}

// forget unassigns addresses that floated.
func forget(t *testing.T, addresses []netip.Prefix) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	for _, a := range addresses {
		for _, eni := range holders(a.Addr()) {
			var err error
			if list := []string{a.Addr().String()}; a.Addr().Is4() {
				_, err = cloud().UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: &eni, PrivateIpAddresses: list})
			} else {
				_, err = cloud().UnassignIpv6Addresses(ctx, &ec2.UnassignIpv6AddressesInput{NetworkInterfaceId: &eni, Ipv6Addresses: list})
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// containers lists the ids of a pod's containers.
func containers(t *testing.T, namespace, name string) []string {
	t.Helper()
	pod, err := kube(t).CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return idsOf(*pod)
}

func idsOf(pod corev1.Pod) (ids []string) {
	for _, c := range pod.Status.ContainerStatuses {
		ids = append(ids, strings.TrimPrefix(c.ContainerID, "containerd://"))
	}
	return ids
}

// running lists the pods of a worker that run, and are to run.
func running(t *testing.T, worker string) []corev1.Pod {
	t.Helper()
	list, err := kube(t).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + worker})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodRunning
	})
}

// restarted waits until a pod is Ready with containers other than the former.
func restarted(t *testing.T, namespace, name string, former []string) testbed.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), crashTimeout)
	defer cancel()
	within(ctx, t, "new containers of "+name, func(ctx context.Context) error {
		pod, err := kube(t).CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, id := range idsOf(*pod) {
			if slices.Contains(former, id) || id == "" {
				return errors.New("it has still " + strings.Join(former, ", "))
			}
		}
		return nil
	})
	pod, err := bed.AwaitPod(ctx, namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}
