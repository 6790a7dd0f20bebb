package metrics_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/docs"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/metrics"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rendered is what Write writes, without comments and blank lines.
func rendered(m *metrics.Metrics) []string {
	var text strings.Builder
	m.Write(&text)
	var lines []string
	for line := range strings.Lines(text.String()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestWriteShowsTheStatus(t *testing.T) {
	status := ipmgr.Status{
		Addresses: []ipmgr.AddressStatus{
			{Addr: netip.MustParseAddr("10.10.1.81"), Interface: "net1", ENI: "eni-1", State: "held", Contests: 2, Taker: plan.Holder{ENI: "eni-2", Instance: "i-2"}},
			{Addr: netip.MustParseAddr("2600:1f13::81"), Interface: "net1", State: "wanted"},
		},
		Claims: 3, Failures: 4, Losses: 5, TakeOvers: 7, Releases: 6,
	}
	want := []string{
		`multus_ipmgr_ready 1`,
		`multus_ipmgr_address{address="10.10.1.81",interface="net1",eni="eni-1",state="held"} 1`,
		`multus_ipmgr_address_contested{address="10.10.1.81",interface="net1",eni="eni-1"} 2`,
		`multus_ipmgr_address_taken_by{address="10.10.1.81",interface="net1",eni="eni-1",taker="eni-2",taker_instance="i-2"} 1`,
		`multus_ipmgr_address{address="2600:1f13::81",interface="net1",eni="",state="wanted"} 1`,
		`multus_ipmgr_address_contested{address="2600:1f13::81",interface="net1",eni=""} 0`,
		`multus_ipmgr_assigned_total 3`,
		`multus_ipmgr_assign_failures_total 4`,
		`multus_ipmgr_lost_total 5`,
		`multus_ipmgr_taken_over_total 7`,
		`multus_ipmgr_released_total 6`,
	}
	m := metrics.New(func() ipmgr.Status { return status })
	if diff := cmp.Diff(want, rendered(m)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestMetricsAreAsDocumented(t *testing.T) {
	m := metrics.New(func() ipmgr.Status {
		return ipmgr.Status{Addresses: []ipmgr.AddressStatus{{Interface: "net1", Taker: plan.Holder{ENI: "eni-2"}}}}
	})
	m.Observe("AssignPrivateIpAddresses", "ok", false, time.Second)
	var text strings.Builder
	m.Write(&text)
	diff, err := docs.MetricDifferences("../../docs/metrics.md", "Injected container", text.String())
	if err != nil || diff != "" {
		t.Errorf("error %v, docs/metrics.md and the program (-page +program):\n%s", err, diff)
	}
}

func TestWriteShowsThatSomethingIsMissing(t *testing.T) {
	m := metrics.New(func() ipmgr.Status { return ipmgr.Status{Err: errors.New("pending")} })
	if got := rendered(m)[0]; got != "multus_ipmgr_ready 0" {
		t.Errorf("%q, want multus_ipmgr_ready 0", got)
	}
}

func TestObserveCountsCallsByActionAndCode(t *testing.T) {
	m := metrics.New(func() ipmgr.Status { return ipmgr.Status{} })
	m.Observe("AssignPrivateIpAddresses", "ok", false, 250*time.Millisecond)
	m.Observe("AssignPrivateIpAddresses", "ok", false, 250*time.Millisecond)
	m.Observe("AssignPrivateIpAddresses", "RequestLimitExceeded", true, time.Second)
	m.Observe("DescribeNetworkInterfaces", "odd \"code\"\n", false, time.Second)
	want := []string{
		`multus_ipmgr_ec2_call_seconds_total{action="AssignPrivateIpAddresses",code="RequestLimitExceeded"} 1`,
		`multus_ipmgr_ec2_call_seconds_total{action="AssignPrivateIpAddresses",code="ok"} 0.5`,
		`multus_ipmgr_ec2_call_seconds_total{action="DescribeNetworkInterfaces",code="odd \"code\"\n"} 1`,
		`multus_ipmgr_ec2_calls_total{action="AssignPrivateIpAddresses",code="RequestLimitExceeded"} 1`,
		`multus_ipmgr_ec2_calls_total{action="AssignPrivateIpAddresses",code="ok"} 2`,
		`multus_ipmgr_ec2_calls_total{action="DescribeNetworkInterfaces",code="odd \"code\"\n"} 1`,
		`multus_ipmgr_ec2_throttles_total{action="AssignPrivateIpAddresses"} 1`,
		`multus_ipmgr_ec2_throttles_total{action="DescribeNetworkInterfaces"} 0`,
	}
	got := rendered(m)
	got = got[len(got)-len(want):]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServeAnswersUntilItsContextEnds(t *testing.T) {
	m := metrics.New(func() ipmgr.Status { return ipmgr.Status{} })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address := freeAddress(t)
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx, address) }()

	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string, error) {
		resp, err := client.Get("http://" + address + path)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text), err
	}
	code, text, err := get("/metrics")
	for deadline := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(deadline); code, text, err = get("/metrics") {
		time.Sleep(time.Millisecond)
	}
	if err != nil || code != http.StatusOK || !strings.Contains(text, "multus_ipmgr_ready 1\n") {
		t.Errorf("GET /metrics: %d, %v, %q", code, err, text)
	}
	if code, _, err := get("/"); err != nil || code != http.StatusNotFound {
		t.Errorf("GET /: %d, %v, want 404", code, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v, want nil at the end", err)
	}
	if _, _, err := get("/metrics"); err == nil {
		t.Error("it still answers")
	}
}

func TestServeSaysWhereItCannotListen(t *testing.T) {
	m := metrics.New(func() ipmgr.Status { return ipmgr.Status{} })
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := m.Serve(t.Context(), taken.Addr().String()); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("Serve: %v, want an error that names %s", err, taken.Addr())
	}
}
