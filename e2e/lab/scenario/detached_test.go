//go:build lab

package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// eth1 and eth3 are in one subnet. What comes to the ENI of eth1 never reaches a
// pod that is on the link of eth3, so no address may go there when the ENI of
// eth3 is detached, though its link and the pods on it stay. On worker-1 the
// ENIs are read from IMDS, on worker-2 from EC2.
func TestAPodWhoseENIWasDetachedSaysSoAndLetsNoOtherENIHaveItsAddresses(t *testing.T) {
	t.Parallel()
	shared.Lock()
	t.Cleanup(shared.Unlock)
	const namespace = "detached"
	var before []testbed.Pod
	t.Cleanup(func() { giveBack(t, before...) }) // once the pods are gone
	optedIn(t, namespace)
	apply(t, namespace, "static.yaml", "MASTER", "eth3")
	start(t,
		box{namespace: namespace, name: "before-1", networks: static("static", dual(108)...), mode: "sidecar"},
		box{namespace: namespace, name: "before-2", networks: static("static", dual(109)...), mode: "sidecar"})
	before = []testbed.Pod{ready(t, namespace, "before-1"), ready(t, namespace, "before-2")}
	attach := []func(){detach(t, "i-worker1", "eni-w1-eth3"), detach(t, "i-worker2", "eni-w2-eth3")}

	t.Run("before it started", func(t *testing.T) {
		start(t,
			box{namespace: namespace, name: "after-1", networks: static("static", dual(110)...)},
			box{namespace: namespace, name: "after-2", networks: static("static", dual(111)...)})
		stuck(t, namespace, "after-1", "10.10.1.110", "net1", "02:00:00:00:01:03", "NoENI")
		stuck(t, namespace, "after-2", "10.10.1.111", "net1", "02:00:00:00:02:03", "NoENI")
		onNone(t, dual(110)...)
		onNone(t, dual(111)...)
	})
	t.Run("while it ran", func(t *testing.T) {
		for i, pod := range before {
			eni := fmt.Sprintf("eni-w%d-eth3", i+1)
			lacks(t, pod, eni, "NoENI", pod.Networks["net1"][0].String())
			heldOnly(t, pod, eni)
		}
	})
	t.Run("until it is attached again", func(t *testing.T) {
		for _, again := range attach {
			again()
		}
		for _, pod := range before {
			lacks(t, pod)
		}
		meet(t, before[0], before[1])
		meet(t, before[1], before[0])
	})
}

// detach takes an ENI off its instance and leaves its link in the worker. The
// function that it returns attaches it again, which the test's end does too.
func detach(t *testing.T, instance, eni string) (attach func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	found, err := cloud().DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{eni}})
	if err != nil || found.NetworkInterfaces[0].Attachment == nil {
		t.Fatalf("attachment of %s: %v", eni, err)
	}
	attachment := found.NetworkInterfaces[0].Attachment
	if _, err := cloud().DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{AttachmentId: attachment.AttachmentId, Force: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	attached := false
	attach = func() {
		if attached {
			return
		}
		attached = true
		_, err := cloud().AttachNetworkInterface(ctx, &ec2.AttachNetworkInterfaceInput{
			NetworkInterfaceId: &eni, InstanceId: &instance, DeviceIndex: attachment.DeviceIndex,
		})
		if err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(attach)
	return attach
}

// lacks waits until the sidecar of a pod says what it lacks; without words,
// until it lacks nothing.
func lacks(t *testing.T, pod testbed.Pod, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	within(ctx, t, fmt.Sprintf("the sidecar of %s lacks %q", pod.Name, words), func(context.Context) error {
		code, text := act(t, pod.Address, "/ready", nil)
		missing := slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
		if want := len(words) == 0; (code == http.StatusNoContent) != want || missing {
			return fmt.Errorf("it says %d %s", code, text)
		}
		return nil
	})
}

// onNone holds that no ENI has the addresses.
func onNone(t *testing.T, prefixes ...netip.Prefix) {
	t.Helper()
	var errs []error
	for _, p := range prefixes {
		if enis := holders(p.Addr()); len(enis) > 0 {
			errs = append(errs, fmt.Errorf("%s is on %v", p.Addr(), enis))
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}
