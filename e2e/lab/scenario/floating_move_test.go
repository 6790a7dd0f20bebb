//go:build lab

package scenario_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/podbox/probe"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// allowance is how much longer than EC2 needs a move may take before the test
// fails. How long it takes is a figure; that it comes to an end is the test.
const allowance = 20 * time.Second

// slowCall is a call to EC2 so late that the sidecar's log is of interest.
const slowCall = time.Second

// move is a floating address on its way from one pod to another.
type move struct {
	what     string
	address  netip.Prefix
	from, to testbed.Pod
	probe    *probe.Probe
	began    time.Time
	added    time.Time // just before the new pod was asked to add the address
}

// watch begins to ask an address and returns once its present pod answers.
func (f *floating) watch(t *testing.T, what string, address netip.Prefix, from, to testbed.Pod) *move {
	t.Helper()
	p, err := f.outside.Probe(address.Addr())
	if err != nil {
		t.Fatal(err)
	}
	m := &move{what: what, address: address, from: from, to: to, probe: p}
	m.answeredBy(t, from)
	m.began = time.Now()
	return m
}

// answeredBy waits until a pod answers, and goes on to.
func (m *move) answeredBy(t *testing.T, pod testbed.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	within(ctx, t, fmt.Sprintf("%s answers at %s", pod.Name, m.address), func(context.Context) error {
		r := m.probe.Report()
		if len(r.By) == 0 || r.By[len(r.By)-1].Pod != pod.Name {
			return fmt.Errorf("%+v; it is routed to %q", r, owner(m.address.Addr()))
		}
		return nil
	})
}

// arrive lets the new pod add the address.
func (m *move) arrive(t *testing.T) {
	t.Helper()
	m.added = time.Now()
	change(t, m.to, http.MethodPut, m.address)
}

// finish waits until the new pod answers, judges what was lost, and reports it.
func (m *move) finish(t *testing.T) {
	t.Helper()
	m.answeredBy(t, m.to)
	r := m.probe.Stop()
	if len(r.By) != 2 || r.By[0].Pod != m.from.Name {
		t.Fatalf("%s: answered by %+v, want %s and then %s", m.what, r.By, m.from.Name, m.to.Name)
	}
	eni := eniOf(m.to)
	if has := holders(m.address.Addr()); len(has) != 1 || has[0] != eni {
		t.Errorf("%s: EC2 has %s on %v, want %s only", m.what, m.address, has, eni)
	}
	asked, ok := assignedAt(eni, m.address.Addr(), m.began)
	if !ok {
		t.Fatalf("%s: EC2 was not asked to assign %s to %s", m.what, m.address, eni)
	}
	lost := gap(r.Gaps, m.began, r.By[1].Since)
	routed := asked.Add(ec2Time())
	if lost.To.After(routed.Add(allowance)) {
		t.Errorf("%s: lost until %s after EC2 was done; drops: %+v", m.what, lost.To.Sub(routed), bed.Sim().DataPlane().Status().Drops)
	}
	if ours := asked.Sub(m.added); ours > slowCall {
		t.Logf("EC2 was asked %s after the pod had the address: %s", ours.Round(time.Millisecond), sidecarLog(t, m.to))
	}
	report(t, figure{
		What: m.what, IPv6: m.address.Addr().Is6(), Probes: lost.Lost, Lost: lost.To.Sub(lost.From), Noticed: m.added.Sub(lost.From),
		Ours: asked.Sub(m.added), EC2: ec2Time(), Beyond: lost.To.Sub(lost.From) - ec2Time(),
	})
}

// gap joins what was lost between a moment and the new pod's first answer. What
// a busy machine loses before or after is not the move's.
func gap(gaps []probe.Gap, began, arrived time.Time) probe.Gap {
	all := probe.Gap{From: arrived, To: arrived}
	for _, g := range gaps {
		if g.To.Before(began) || g.From.After(arrived) {
			continue
		}
		if all.Lost == 0 {
			all.From = g.From
		}
		all.To, all.Lost = g.To, all.Lost+g.Lost
	}
	return all
}

// figure is what a move has cost.
type figure struct {
	What   string `json:"what"`
	IPv6   bool   `json:"ipv6"`
	Probes int    `json:"probes"`
	// Lost is the time from the first lost probe to the next answered one.
	Lost time.Duration `json:"lost"`
	// Noticed is the part of it before the new pod was asked to add the address,
	// which is the application's own time.
	Noticed time.Duration `json:"noticed"`
	// Ours is from then to the arrival of the call at EC2.
	Ours time.Duration `json:"ours"`
	// EC2 is what EC2 takes, and Beyond what was lost beyond that.
	EC2    time.Duration `json:"ec2"`
	Beyond time.Duration `json:"beyond"`
}

// figuresKey names the file to which make bench wants the figures appended.
const figuresKey = "LAB_FIGURES"

func report(t *testing.T, f figure) {
	t.Helper()
	ms := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	t.Logf("%s: %d probes lost, %s; of that the application %s, EC2 %s; call after %s; beyond EC2 %s",
		f.What, f.Probes, ms(f.Lost), ms(f.Noticed), f.EC2, ms(f.Ours), ms(f.Beyond))
	name := os.Getenv(figuresKey)
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := json.NewEncoder(file).Encode(f); err != nil {
		t.Error(err)
	}
}

// sidecarLog is what the IP manager of a pod has said last.
func sidecarLog(t *testing.T, pod testbed.Pod) string {
	t.Helper()
	options := &corev1.PodLogOptions{Container: "multus-ipmgr", TailLines: new(int64(10))}
	text, err := kube(t).CoreV1().Pods(floatingNamespace).GetLogs(pod.Name, options).DoRaw(t.Context())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// ec2Time is how long EC2 takes to move an address.
func ec2Time() time.Duration {
	s := bed.Sim().Settings()
	return time.Duration(s.Latency) + time.Duration(s.DataPathLag)
}

// eniOf is the ENI under a pod's net1.
func eniOf(pod testbed.Pod) string {
	return "eni-w" + strings.TrimPrefix(pod.Worker, "worker-") + "-eth1"
}

// assignedAt is when the first call arrived, since a moment, that assigned an
// address to an ENI.
func assignedAt(eni string, addr netip.Addr, since time.Time) (time.Time, bool) {
	for _, call := range bed.Sim().Calls(true) {
		if !call.At.Before(since) && strings.HasPrefix(call.Action, "Assign") && call.Params["NetworkInterfaceId"] == eni && names(call, addr) {
			return call.At, true
		}
	}
	return time.Time{}, false
}

func names(call vpcsim.Call, addr netip.Addr) bool {
	for _, value := range call.Params {
		if a, err := netip.ParseAddr(value); err == nil && a == addr {
			return true
		}
	}
	return false
}

// change lets a pod add an address to net1 or remove it.
func change(t *testing.T, pod testbed.Pod, method string, address netip.Prefix) {
	t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return bed.Network().Dial(ctx, netip.AddrPortFrom(pod.Address, 8080))
		},
	}}
	query := url.Values{"interface": {"net1"}, "address": {address.String()}}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+pod.Address.String()+"/addresses?"+query.Encode(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusNoContent {
		t.Fatalf("%s %s of %s: %s %s %v", method, address, pod.Name, response.Status, text, err)
	}
}
