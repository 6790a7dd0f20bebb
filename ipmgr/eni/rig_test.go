package eni_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
)

// TestMain hides the AWS settings of the machine that runs the tests.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			os.Unsetenv(name) //nolint:errcheck // the name is the environment's
		}
	}
	os.Setenv("HOME", "/nowhere") //nolint:errcheck // a constant
	goleak.VerifyTestMain(m)
}

// vpc is what the tests run in: worker 1, whose pods the Cloud serves, and
// worker 2, whose ENIs hold what worker 1 wants. The ENI eni-cni is the VPC
// CNI's: in the Multus subnet, but not tagged.
const vpc = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/24, zone: us-west-2a}
- {id: subnet-multus, cidr: 10.10.1.0/24, ipv6Cidr: "2600:1f13:0:1::/64", zone: us-west-2a}
instances:
- id: i-worker1
  type: m5.xlarge
  zone: us-west-2a
  hopLimit: %d
  enis:
  - {id: eni-w1-eth0, subnet: subnet-mgmt, deviceIndex: 0, mac: "02:00:00:00:01:00", primary: 10.10.12.11}
  - {id: eni-w1-eth1, subnet: subnet-multus, deviceIndex: 1, mac: "02:00:00:00:01:01", primary: 10.10.1.11, tags: {node.k8s.amazonaws.com/no_manage: "true"}}
- id: i-worker2
  type: m5.xlarge
  zone: us-west-2a
  enis:
  - {id: eni-w2-eth0, subnet: subnet-mgmt, deviceIndex: 0, mac: "02:00:00:00:02:00", primary: 10.10.12.12}
  - {id: eni-w2-eth1, subnet: subnet-multus, deviceIndex: 1, mac: "02:00:00:00:02:01", primary: 10.10.1.12, secondaries: [10.10.1.101, 10.10.1.102], ipv6: ["2600:1f13:0:1::101", "2600:1f13:0:1::102"], tags: {node.k8s.amazonaws.com/no_manage: "true"}}
  - {id: eni-cni, subnet: subnet-multus, deviceIndex: 2, mac: "02:00:00:00:02:02", primary: 10.10.1.13, secondaries: [10.10.1.201], ipv6: ["2600:1f13:0:1::201"]}
enis:
- {id: eni-spare, subnet: subnet-multus, mac: "02:00:00:00:09:01", primary: 10.10.1.19}
`

const (
	macEth0 = "02:00:00:00:01:00"
	macEth1 = "02:00:00:00:01:01"
	macPod  = "aa:bb:cc:00:00:01" // of a macvlan link
)

// The addresses of the in-memory network.
const (
	imdsHost = "169.254.169.254:80"
	ec2Host  = "203.0.113.1:80"
)

// network is an in-memory network, which a bubble of testing/synctest can wait for.
type network struct {
	mu        sync.Mutex
	listeners map[string]chan net.Conn
	dialled   []string
}

type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// serve makes a handler reachable at an address until the test ends.
func (n *network) serve(t *testing.T, address string, handler http.Handler) {
	t.Helper()
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	n.listeners[address] = l.conns
	n.mu.Unlock()
	server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var done sync.WaitGroup
	done.Go(func() { server.Serve(l) }) //nolint:errcheck // ErrServerClosed
	t.Cleanup(func() { server.Close(); done.Wait() })
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.mu.Lock()
	conns := n.listeners[address]
	n.dialled = append(n.dialled, address)
	n.mu.Unlock()
	if conns == nil {
		return nil, &net.OpError{Op: "dial", Net: kind, Err: errors.New("connection refused")}
	}
	near, far := net.Pipe()
	select {
	case conns <- far:
		return newBuffered(near), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// buffered is a pipe that takes what is written at once, as a socket does. The
// SDK depends on that: it closes a request's body when the answer is there,
// which net/http may still be reading on a pipe that hands every byte over.
type buffered struct {
	net.Conn

	queue  chan []byte
	closed chan struct{}
	once   sync.Once
}

func newBuffered(conn net.Conn) *buffered {
	b := &buffered{Conn: conn, queue: make(chan []byte, 64), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-b.queue:
				b.Conn.Write(p) // the reader sees a connection that ends
			case <-b.closed:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.queue <- slices.Clone(p):
		return len(p), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Conn.Close()
}

// rig is a Cloud in front of a simulated VPC.
type rig struct {
	t     *testing.T
	sim   *vpcsim.Sim
	net   *network
	cloud *eni.Cloud
	admin *ec2.Client // another user of the account

	mu       sync.Mutex
	observed []string
	services []string // dialled as services of the worker
}

// setup changes how a rig is made.
type setup struct {
	hopLimit int
	env      map[string]string // AWS settings
	process  bool              // they are the process's environment; then the test is not parallel
	opts     eni.Options
	topology string
}

// settings gives the SDK what env says: by the environment, or by options that
// leave the process's environment alone. There are not many.
func (s *setup) settings(t *testing.T) {
	t.Helper()
	if s.process {
		for name, value := range s.env {
			t.Setenv(name, value)
		}
		return
	}
	option := map[string]func(string) awsconfig.LoadOptionsFunc{
		"AWS_REGION":                        awsconfig.WithRegion,
		"AWS_ENDPOINT_URL_EC2":              awsconfig.WithBaseEndpoint,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT": awsconfig.WithEC2IMDSEndpoint,
		"AWS_EC2_METADATA_DISABLED": func(string) awsconfig.LoadOptionsFunc {
			return awsconfig.WithEC2IMDSClientEnableState(imds.ClientDisabled)
		},
		"AWS_ACCESS_KEY_ID": func(id string) awsconfig.LoadOptionsFunc {
			return awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(id, s.env["AWS_SECRET_ACCESS_KEY"], ""))
		},
		"AWS_SECRET_ACCESS_KEY": func(string) awsconfig.LoadOptionsFunc {
			return func(*awsconfig.LoadOptions) error { return nil }
		},
	}
	for name, value := range s.env {
		if option[name] == nil {
			t.Fatalf("a parallel test cannot set %s", name)
		}
		s.opts.AWS = append(s.opts.AWS, option[name](value))
	}
}

// inEnvironment sets the process's environment.
func inEnvironment(s *setup) { s.process = true }

// inVPC runs a test in a bubble with a rig of its own.
func inVPC(t *testing.T, change func(*setup), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newRig(t, change)) })
}

func newRig(t *testing.T, change func(*setup)) *rig {
	t.Helper()
	s := setup{hopLimit: 2, topology: vpc, env: map[string]string{
		"AWS_REGION": "us-west-2", "AWS_ACCESS_KEY_ID": vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY": vpcsim.SecretAccessKey,
		"AWS_ENDPOINT_URL_EC2": "http://203.0.113.1",
	}}
	apply(change, &s)
	topology, err := vpcsim.Load(strings.NewReader(strings.Replace(s.topology, "%d", fmt.Sprint(s.hopLimit), 1)))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, sim: sim, net: &network{listeners: map[string]chan net.Conn{}}}
	metadata, err := sim.IMDS("i-worker1", vpcsim.PodHops)
	if err != nil {
		t.Fatal(err)
	}
	r.net.serve(t, ec2Host, sim.EC2())
	r.net.serve(t, imdsHost, metadata)
	t.Cleanup(sim.Close)

	s.opts.Dial = r.net.dial
	s.opts.DialWorker = func(ctx context.Context, kind, address string) (net.Conn, error) {
		r.mu.Lock()
		r.services = append(r.services, address)
		r.mu.Unlock()
		return r.net.dial(ctx, kind, address)
	}
	s.settings(t)
	s.opts.Jitter = func(limit time.Duration) time.Duration { return limit / 2 }
	s.opts.Observe = r.observe
	if r.cloud, err = eni.New(t.Context(), s.opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.cloud.Close)
	r.admin = r.newAdmin()
	return r
}

func (r *rig) newAdmin() *ec2.Client {
	transport := &http.Transport{DialContext: r.net.dial}
	r.t.Cleanup(transport.CloseIdleConnections)
	return ec2.New(ec2.Options{
		Region: "us-west-2", BaseEndpoint: aws.String("http://203.0.113.1"), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
}

func (r *rig) observe(action, code string, throttled bool, _ time.Duration) {
	if throttled {
		code += " throttled"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observed = append(r.observed, action+" "+code)
}

// set changes settings of the simulator.
func (r *rig) set(patch string) {
	r.t.Helper()
	if err := r.sim.Set(patch); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) inject(faults ...vpcsim.Fault) {
	r.t.Helper()
	if err := r.sim.Inject(faults...); err != nil {
		r.t.Fatal(err)
	}
}

// calls returns the EC2 calls since the last time, with their results, and
// forgets faults that were left.
func (r *rig) calls() []string {
	r.t.Helper()
	var list []string
	for _, call := range r.sim.Calls(true) {
		list = append(list, call.Action+" "+call.Result)
	}
	r.sim.Reset()
	return list
}

// wantCalls checks the EC2 calls since the last time.
func (r *rig) wantCalls(want ...string) {
	r.t.Helper()
	if diff := gocmp.Diff(want, r.calls(), cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("EC2 calls (-want +got):\n%s", diff)
	}
}

// holdings lists the secondary and IPv6 addresses of the ENIs that have any.
func (r *rig) holdings() map[string][]string {
	held := map[string][]string{}
	for _, e := range r.sim.ENIs() {
		for _, addr := range slices.SortedFunc(slices.Values(slices.Concat(e.Secondaries, e.IPv6)), netip.Addr.Compare) {
			held[e.ID] = append(held[e.ID], addr.String())
		}
	}
	return held
}

// wantHoldings checks what eni holds.
func (r *rig) wantHoldings(id string, want ...string) {
	r.t.Helper()
	if diff := gocmp.Diff(want, r.holdings()[id], cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("addresses of %s (-want +got):\n%s", id, diff)
	}
}

func addrs(list ...string) []netip.Addr {
	parsed := make([]netip.Addr, len(list))
	for i, text := range list {
		parsed[i] = netip.MustParseAddr(text)
	}
	return parsed
}

// onLink returns addresses of the pod on one link.
func onLink(mac string, list ...string) []plan.Address {
	var pod []plan.Address
	for _, addr := range addrs(list...) {
		pod = append(pod, plan.Address{Addr: addr, Interface: "net1", MAC: mac})
	}
	return pod
}

// eth1 is the Multus ENI of worker 1 as Attached reports it.
func eth1() plan.ENI {
	return plan.ENI{
		ID: "eni-w1-eth1", MAC: macEth1, DeviceIndex: 1, Primary: netip.MustParseAddr("10.10.1.11"),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.10.1.0/24"), netip.MustParsePrefix("2600:1f13:0:1::/64")},
	}
}

func eth0() plan.ENI {
	return plan.ENI{
		ID: "eni-w1-eth0", MAC: macEth0, Primary: netip.MustParseAddr("10.10.12.11"),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.10.12.0/24")},
	}
}

func withAddrs(e plan.ENI, list ...string) plan.ENI {
	e.Addresses = addrs(list...)
	return e
}

func withoutSubnets(e plan.ENI) plan.ENI {
	e.Subnets = nil
	return e
}

// attached is Attached that must succeed and report want.
func (r *rig) attached(pod []plan.Address, want ...plan.ENI) {
	r.t.Helper()
	got, err := r.cloud.Attached(r.t.Context(), pod)
	if err != nil {
		r.t.Errorf("ENIs not found: %v", err)
		return
	}
	opts := []gocmp.Option{gocmp.Comparer(func(a, b netip.Addr) bool { return a == b }), gocmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty()}
	if diff := gocmp.Diff(want, got, opts...); diff != "" {
		r.t.Errorf("ENIs (-want +got):\n%s", diff)
	}
}

// outcome is what a test checks of a fault.
type outcome struct {
	Code      string
	Permanent bool
}

// outcomeOf reads err, which must be a *fault.Error when it is one at all.
func outcomeOf(t *testing.T, err error) outcome {
	t.Helper()
	if err == nil {
		return outcome{}
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Errorf("error %v is a %T, want a *fault.Error", err, err)
		return outcome{Code: "no fault"}
	}
	if text := f.Error(); strings.Contains(text, "\n") || len(text) > 600 {
		t.Errorf("the fault is no readable sentence: %q", text)
	}
	return outcome{Code: f.Code, Permanent: f.Meaning.Permanent()}
}

// assign is Assign on worker 1's Multus ENI; it checks the outcome of each
// address that fails.
func (r *rig) assign(takeOver bool, list []string, want map[string]outcome) map[netip.Addr]error {
	r.t.Helper()
	failed := assignOf(r, plan.Step{ENI: eth1(), Addrs: addrs(list...), TakeOver: takeOver})
	got := map[string]outcome{}
	for addr, err := range failed {
		got[addr.String()] = outcomeOf(r.t, err)
		var f *fault.Error
		if errors.As(err, &f) && (f.Addr != addr || f.ENI == "") {
			r.t.Errorf("fault %v does not name address %s and an ENI", err, addr)
		}
	}
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("failed addresses (-want +got):\n%s\n%v", diff, failed)
	}
	return failed
}

// imdsReads returns how many token requests and reads IMDS has seen since the
// last time.
func (r *rig) imdsReads() (tokens, reads int) {
	r.t.Helper()
	recorder := httptest.NewRecorder()
	r.sim.Control().ServeHTTP(recorder, httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, "/v1/imds", nil))
	var counts map[string]struct{ Token, Get int }
	if err := json.Unmarshal(recorder.Body.Bytes(), &counts); err != nil {
		r.t.Fatalf("unreadable counts %s: %v", recorder.Body, err)
	}
	r.sim.Reset()
	return counts["i-worker1"].Token, counts["i-worker1"].Get
}

// assignOf is Assign without who held what was taken over.
func assignOf(r *rig, s plan.Step) map[netip.Addr]error {
	failed, _ := r.cloud.Assign(r.t.Context(), s)
	return failed
}

// repeat returns n times the same call.
func repeat(call string, n int) []string { return slices.Repeat([]string{call}, n) }

// step is a step on worker 1's Multus ENI without the pools.
func step(list ...string) plan.Step { return plan.Step{ENI: eth1(), Addrs: addrs(list...)} }

// stepInPools is the same with all addresses inside the pools.
func stepInPools(list ...string) plan.Step {
	s := step(list...)
	s.TakeOver = true
	return s
}

// apply makes a change, if there is one.
func apply(change func(*setup), s *setup) {
	if change != nil {
		change(s)
	}
}
