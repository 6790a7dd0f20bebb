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
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/podbox/probe"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

const keepalivedNamespace = "keepalived"

// routers are two pods of which keepalived makes one the master.
type routers struct {
	pods      []testbed.Pod // on worker-1, the master while it lives, and worker-2
	addresses []netip.Prefix
	probes    []*probe.Probe
}

// The fault is the last part: for a moment both are master, the wrong one is
// the last to be assigned the address, and the other never sees a change.
func TestKeepalivedMovesItsAddressAndEC2Follows(t *testing.T) {
	t.Parallel()
	r := &routers{addresses: []netip.Prefix{netip.MustParsePrefix("10.10.1.99/32"), netip.MustParsePrefix("2600:1f13:0:1::a9/128")}}
	t.Cleanup(func() { forget(t, r.addresses) }) // once the pods are gone
	optedIn(t, keepalivedNamespace, "pod-security.kubernetes.io/enforce=privileged")
	apply(t, keepalivedNamespace, "keepalived.yaml")
	r.pods = readyPods(t, keepalivedNamespace, "app=router", 2)
	host := outside(t)
	for _, a := range r.addresses {
		p, err := host.Probe(a.Addr())
		if err != nil {
			t.Fatal(err)
		}
		r.probes = append(r.probes, p)
	}
	defer r.end(t)
	r.master(t, 0)
	t.Run("when the master's pod dies", r.failover)
	t.Run("when the master comes back", func(t *testing.T) { r.master(t, 0) })
	t.Run("when two were master for a moment", r.doubleMaster)
}

// master waits until a router is the only one that has the addresses, in its
// pod and at EC2, and answers.
func (r *routers) master(t *testing.T, n int) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	within(ctx, t, r.pods[n].Name+" is master and answers", func(context.Context) error {
		var errs []error
		for i, a := range r.addresses {
			report := r.probes[i].Report()
			if len(report.By) == 0 || report.By[len(report.By)-1].Pod != r.pods[n].Name {
				errs = append(errs, fmt.Errorf("%s is answered by %+v and routed to %q", a, report.By, owner(a.Addr())))
			}
			if has := holders(a.Addr()); !slices.Equal(has, []string{eniOf(r.pods[n])}) {
				errs = append(errs, fmt.Errorf("EC2 has %s on %q", a, has))
			}
		}
		return errors.Join(errs...)
	})
	t.Logf("%s answers after %s", r.pods[n].Name, time.Since(began).Round(10*time.Millisecond))
}

func (r *routers) failover(t *testing.T) {
	old := containers(t, keepalivedNamespace, r.pods[0].Name)
	r.signal(t, 0, "KILL", "pod")
	r.master(t, 1)
	r.pods[0] = restarted(t, keepalivedNamespace, r.pods[0].Name, old)
}

// doubleMaster suspends the master's keepalived, but not its pod, until the
// other router has taken over.
func (r *routers) doubleMaster(t *testing.T) {
	r.signal(t, 0, "STOP", "container")
	r.master(t, 1)
	if !r.has(t, 0) {
		t.Fatalf("%s has lost its addresses while its keepalived was suspended", r.pods[0].Name)
	}
	was := r.claims()
	r.signal(t, 0, "CONT", "container")
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	within(ctx, t, r.pods[1].Name+" steps back", func(context.Context) error {
		if r.has(t, 1) {
			return errors.New("it has the addresses")
		}
		return nil
	})
	wrong := []string{eniOf(r.pods[1])}
	for i, a := range r.addresses {
		has := holders(a.Addr())
		switch {
		case r.claims()[i] > was[i]:
			t.Logf("the sidecar's regular check of %s came while both had it, and EC2 has it on %v", a, has)
		case !slices.Equal(has, wrong):
			t.Errorf("only %s has %s, nobody has claimed it, and EC2 has it on %v, want the fault: %v", r.pods[0].Name, a, has, wrong)
		}
	}
	if !r.has(t, 0) {
		t.Fatalf("%s has lost its addresses", r.pods[0].Name)
	}
	r.master(t, 0)
}

// claims counts for each address how often the first router's worker asked EC2
// for it.
func (r *routers) claims() []int {
	counts := make([]int, len(r.addresses))
	for _, call := range bed.Sim().Calls(true) {
		for i, a := range r.addresses {
			asked := []string{call.Params["PrivateIpAddress.1"], call.Params["Ipv6Addresses.1"]}
			if call.Params["NetworkInterfaceId"] == eniOf(r.pods[0]) && slices.Contains(asked, a.Addr().String()) {
				counts[i]++
			}
		}
	}
	return counts
}

// has reports whether a router has all the addresses on net1.
func (r *routers) has(t *testing.T, n int) bool {
	t.Helper()
	on := addresses(t, r.pods[n].Address, "net1")
	return slices.Contains(on, r.addresses[0].Addr()) && slices.Contains(on, r.addresses[1].Addr())
}

// signal signals the keepalived of a router, or its pod.
func (r *routers) signal(t *testing.T, n int, name, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	pod, err := kube(t).CoreV1().Pods(keepalivedNamespace).Get(ctx, r.pods[n].Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var id string
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == "keepalived" {
			id = strings.TrimPrefix(c.ContainerID, "containerd://")
		}
	}
	if err := bed.Run(ctx, r.pods[n].Worker, &out, "/lab/bin/podbox", "signal", name, what, id); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
}

// end stops the probes and returns what they lost.
func (r *routers) end(t *testing.T) {
	t.Helper()
	for _, p := range r.probes {
		for _, g := range p.Stop().Gaps {
			t.Logf("%s: %d probes lost, %s", p.Report().To, g.Lost, g.To.Sub(g.From).Round(time.Millisecond))
		}
	}
}
