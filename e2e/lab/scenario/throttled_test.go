//go:build lab

package scenario_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

const (
	burst        = 20
	burstTimeout = 6 * time.Minute // for a busy machine
	// each is how many calls of a family each fault hits.
	each = 4
	// missed is how many answers may come too late for a worker that has no
	// time, so that a call is repeated though nothing was wrong with it.
	missed = each
)

// The pods of a Deployment start while another program of the account takes the
// tokens, and while EC2 fails, delays, and loses answers.
func TestTwentyPodsStartWhileEC2MisbehavesAndEachAddressIsOnItsENI(t *testing.T) {
	createNamespace(t, "burst", "multus-ipmgr.io/inject=enabled")
	t.Cleanup(func() { // its pods may go while other scenarios play
		if err := kube(t).CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), "burst", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(bed.Sim().Reset)
	bed.Sim().Reset()
	misbehave(t, "AssignIpv6Addresses")
	satisfied := rival(t)
	began := time.Now()
	apply(t, "burst", "burst.yaml")

	ctx, cancel := context.WithTimeout(t.Context(), burstTimeout)
	defer cancel()
	within(ctx, t, "pods are throttled", func(context.Context) error {
		if n := podCalls("AssignPrivateIpAddresses").results["RequestLimitExceeded"]; n < burst/2 {
			return fmt.Errorf("%d calls", n)
		}
		return nil
	})
	t.Logf("throttled after %s", time.Since(began).Round(time.Second))
	satisfied()
	misbehave(t, "AssignPrivateIpAddresses")
	within(ctx, t, "all pods are Ready", func(ctx context.Context) error {
		d, err := kube(t).AppsV1().Deployments("burst").Get(ctx, "burst", metav1.GetOptions{})
		if err == nil && d.Status.ReadyReplicas < burst {
			err = fmt.Errorf("%d are", d.Status.ReadyReplicas)
		}
		return err
	})
	t.Logf("Ready after %s", time.Since(began).Round(time.Second))

	pods := readyPods(t, "burst", "app=burst", burst)
	t.Cleanup(func() { giveBack(t, pods...) })
	onceEach(t, pods)
	neverGaveUp(t, "burst")
	for _, action := range []string{"AssignPrivateIpAddresses", "AssignIpv6Addresses"} {
		withinTheBar(t, action)
	}
	first, last := pods[0], pods[len(pods)-1]
	for _, pod := range pods {
		if pod.Worker == first.Worker {
			meet(t, last, pod)
		} else {
			meet(t, first, pod)
		}
	}
}

// misbehave makes the next calls of an action fail in every way.
func misbehave(t *testing.T, action string) {
	t.Helper()
	if err := bed.Sim().Inject(
		vpcsim.Fault{Action: action, Code: "InternalError", Status: 500, Count: each},
		vpcsim.Fault{Action: action, Lose: true, Count: each},
		vpcsim.Fault{Action: action, Code: "Unavailable", Status: 503, Count: each},
		vpcsim.Fault{Action: action, Delay: settings.Duration(2 * time.Second), Count: each},
	); err != nil {
		t.Fatal(err)
	}
}

// rival assigns an address of its own again and again, so that few of EC2's
// tokens are left for others, until it is satisfied.
func rival(t *testing.T) (satisfied func()) {
	t.Helper()
	if err := bed.Sim().Set(`{"throttle":true}`); err != nil {
		t.Fatal(err)
	}
	rivals := netip.MustParseAddr("10.10.3.120")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	client, eni := cloud(), "eni-w1-eth4"
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = client.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{
				NetworkInterfaceId: &eni, PrivateIpAddresses: []string{rivals.String()},
			}, func(o *ec2.Options) { o.RetryMaxAttempts = 1 }) // mostly refused
			select {
			case <-ctx.Done():
			case <-time.After(25 * time.Millisecond):
			}
		}
	}()
	satisfied = func() {
		cancel()
		<-done
	}
	t.Cleanup(func() {
		satisfied()
		giveBack(t, testbed.Pod{Networks: map[string][]netip.Addr{"": {rivals}}})
		if err := bed.Sim().Set(`{"throttle":false}`); err != nil {
			t.Error(err)
		}
	})
	return satisfied
}

// calls sums up what the pods asked of an action.
type calls struct {
	results map[string]int
	// perPod is how often each address was asked for.
	perPod map[string]int
}

func podCalls(action string) calls {
	c := calls{results: map[string]int{}, perPod: map[string]int{}}
	for _, call := range bed.Sim().Calls(false) {
		if call.Action == action && strings.HasSuffix(call.Params["NetworkInterfaceId"], "-eth2") {
			c.results[call.Result]++
			c.perPod[call.Params["PrivateIpAddress.1"]+call.Params["Ipv6Addresses.1"]]++
		}
	}
	return c
}

// withinTheBar holds that the pods made the one call that each needs, and one
// more for each that was refused or whose answer was lost.
func withinTheBar(t *testing.T, action string) {
	t.Helper()
	c := podCalls(action)
	t.Logf("%s: %v, at most %d for a pod", action, c.results, slices.Max(slices.Collect(maps.Values(c.perPod))))
	for _, code := range []string{"InternalError", "Unavailable"} {
		if c.results[code] != each {
			t.Errorf("%s: %d calls ended in %s, want %d", action, c.results[code], code, each)
		}
	}
	if got := c.results["ok"]; len(c.perPod) != burst || got < burst || got > burst+each+missed {
		t.Errorf("%s: %d calls for %d addresses succeeded, want one each and up to %d whose answer was lost", action, got, len(c.perPod), each+missed)
	}
	for code := range c.results {
		if !slices.Contains([]string{"ok", "InternalError", "Unavailable", "RequestLimitExceeded"}, code) {
			t.Errorf("%s: EC2 also answered %s", action, code)
		}
	}
}

// onceEach holds that each pod has addresses of its own, on eth2 of its worker
// and nowhere else.
func onceEach(t *testing.T, pods []testbed.Pod) {
	t.Helper()
	seen := map[netip.Addr]string{}
	for _, pod := range pods {
		want := "eni-w" + strings.TrimPrefix(pod.Worker, "worker-") + "-eth2"
		for _, addr := range pod.Networks["net1"] {
			if other := seen[addr]; other != "" {
				t.Errorf("%s has %s, as %s has", pod.Name, addr, other)
			}
			seen[addr] = pod.Name
			if got := holders(addr); !slices.Equal(got, []string{want}) || owner(addr) != want {
				t.Errorf("%s of %s is on %v and delivered to %q, want %s", addr, pod.Name, got, owner(addr), want)
			}
		}
	}
}

// neverGaveUp holds that no container of the namespace's pods ended in failure.
func neverGaveUp(t *testing.T, namespace string) {
	t.Helper()
	list, err := kube(t).CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if s.RestartCount > 0 {
				t.Errorf("%s: %s started %d times", p.Name, s.Name, s.RestartCount+1)
			}
		}
	}
}
