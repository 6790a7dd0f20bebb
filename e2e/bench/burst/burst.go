// Package burst starts many pods at once against EC2's token buckets and tells
// how close to what the buckets allow the last of them was done.
//
// The pods are real managers with real EC2 and IMDS clients; only their kernel
// is played, and connections are pipes in memory. That lets the same burst run
// in real time (make bench) and in virtual time (the tests).
package burst

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// EC2's token bucket of AssignPrivateIpAddresses, per account and Region
// (Amazon EC2 Developer Guide, "Request throttling").
const (
	bucketSize   = 100
	bucketRefill = 5 // a second
)

// restartPause is the kubelet's, before a container is started again. It
// doubles with each restart.
const restartPause = 10 * time.Second

// podsPerWorker keeps below the 49 secondary addresses that one ENI of an
// m6i.32xlarge takes.
const podsPerWorker = 40

// Result is what came of a burst.
type Result struct {
	Pods    int
	Failed  int
	Errors  []error       // the first few
	Took    time.Duration // until the last pod was done
	Allowed time.Duration // the least that the token buckets allow
	Calls   int           // EC2 calls, those that were throttled included
	// Restarts counts sidecars that were not ready in time and started afresh.
	Restarts int
	Routed   int // addresses that are on the right ENI at the end
}

// Run starts pods pods at once and waits until each has its address or gave up
// after timeout. The pods share one account's token buckets.
func Run(ctx context.Context, pods int, timeout time.Duration) (Result, error) {
	return run(pods, func(v *vpc, i int) (int, error) { return 0, v.start(ctx, i, timeout) })
}

// Sidecars does the same with sidecars. One that is not ready in time ends and
// starts afresh, as the kubelet does when a startup probe failed.
func Sidecars(ctx context.Context, pods int, probe time.Duration) (Result, error) {
	return run(pods, func(v *vpc, i int) (int, error) { return v.follow(ctx, i, probe) })
}

// run starts the pods, each of which reports how often it restarted.
func run(pods int, start func(v *vpc, i int) (int, error)) (Result, error) {
	v, err := newVPC(pods)
	if err != nil {
		return Result{}, err
	}
	defer v.close()
	r := Result{Pods: pods, Allowed: max(0, time.Duration(pods-bucketSize)*time.Second/bucketRefill)}
	errs := make(chan error, pods)
	began := time.Now()
	var wg sync.WaitGroup
	var restarts atomic.Int64
	for i := range pods {
		wg.Go(func() {
			n, err := start(v, i)
			restarts.Add(int64(n))
			errs <- err
		})
	}
	wg.Wait()
	r.Took, r.Restarts = time.Since(began), int(restarts.Load())
	close(errs)
	for err := range errs {
		if err != nil {
			r.Failed++
			r.Errors = append(r.Errors, err)
		}
	}
	r.Errors = r.Errors[:min(3, len(r.Errors))]
	r.Calls = len(v.sim.Calls(false))
	for i := range pods {
		if owner, ok := v.sim.RoutedTo(podAddr(i)); ok && owner == eniID(i/podsPerWorker) {
			r.Routed++
		}
	}
	return r, nil
}

// vpc is the simulated VPC and the pipes into it.
type vpc struct {
	sim     *vpcsim.Sim
	servers []*http.Server
	inbox   map[string]*pipes // by address
}

func newVPC(pods int) (*vpc, error) {
	topology, err := vpcsim.Load(strings.NewReader(describe(pods)))
	if err != nil {
		return nil, fmt.Errorf("building the burst's VPC: %w", err)
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{})
	if err != nil {
		return nil, fmt.Errorf("building the burst's VPC: %w", err)
	}
	if err := sim.Set(`{"throttle": true, "latency": "100ms"}`); err != nil {
		return nil, fmt.Errorf("setting up the burst's VPC: %w", err)
	}
	v := &vpc{sim: sim, inbox: map[string]*pipes{}}
	v.serve(ec2Host, sim.EC2())
	for worker := range workers(pods) {
		handler, err := sim.IMDS(instanceID(worker), vpcsim.PodHops)
		if err != nil {
			return nil, err
		}
		v.serve(imdsHost(worker), handler)
	}
	return v, nil
}

func (v *vpc) serve(host string, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	inbox := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	v.servers, v.inbox[host] = append(v.servers, server), inbox
	go func() { _ = server.Serve(inbox) }() // always http.ErrServerClosed
}

func (v *vpc) close() {
	for _, server := range v.servers {
		_ = server.Close()
	}
	v.sim.Close()
}

func (v *vpc) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	inbox, ok := v.inbox[host]
	if !ok {
		return nil, fmt.Errorf("nothing listens on %s", address)
	}
	ours, theirs := net.Pipe()
	select {
	case inbox.conns <- theirs:
		return ours, nil
	case <-inbox.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start runs pod i in init mode.
func (v *vpc) start(ctx context.Context, i int, timeout time.Duration) error {
	m, end, err := v.manager(ctx, i, timeout)
	if err != nil {
		return err
	}
	defer end()
	return m.Once(ctx)
}

// follow runs pod i in sidecar mode until it is ready, and counts how often it
// had to start afresh.
func (v *vpc) follow(ctx context.Context, i int, probe time.Duration) (restarts int, err error) {
	for ; ; restarts++ {
		m, end, err := v.manager(ctx, i, time.Hour)
		if err != nil {
			return restarts, err
		}
		ready := attempt(ctx, m, probe)
		end()
		if ready || ctx.Err() != nil {
			return restarts, ctx.Err()
		}
		time.Sleep(restartPause << min(restarts, 4))
	}
}

// attempt asks a sidecar every few seconds whether it is ready, and ends it then or
// when the time is over.
func attempt(ctx context.Context, m *ipmgr.Manager, probe time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, probe)
	done := make(chan struct{})
	go func() {
		_ = m.Follow(ctx)
		close(done)
	}()
	defer func() {
		cancel()
		<-done
	}()
	for ctx.Err() == nil {
		if m.Status().Err == nil {
			return true
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
	return false
}

// manager makes the program of pod i, and what ends it.
func (v *vpc) manager(ctx context.Context, i int, timeout time.Duration) (*ipmgr.Manager, func(), error) {
	worker := i / podsPerWorker
	cloud, err := eni.New(ctx, eni.Options{Dial: v.dial, AWS: []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRegion("us-west-2"),
		awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, "")),
		awsconfig.WithBaseEndpoint("http://" + ec2Host),
		awsconfig.WithEC2IMDSEndpoint("http://" + imdsHost(worker)),
	}})
	if err != nil {
		return nil, nil, err
	}
	settings := spec.Default()
	settings.Interfaces, settings.Timeout = []string{"net1"}, timeout
	return &ipmgr.Manager{
		Settings: settings,
		Links:    kernel{{Addr: podAddr(i), Interface: "net1", MAC: mac(worker)}},
		ENIs:     cloud,
		Log:      slog.New(slog.DiscardHandler),
		Random:   rand.Float64,
	}, cloud.Close, nil
}

// kernel plays the pod's network namespace: its addresses never change.
type kernel []plan.Address

// Addresses returns them.
func (k kernel) Addresses(context.Context) ([]plan.Address, error) { return k, nil }

// Interfaces is net1.
func (k kernel) Interfaces(context.Context) ([]string, error) { return []string{"net1"}, nil }

// Changes never wakes its reader.
func (k kernel) Changes(context.Context) (<-chan struct{}, error) {
	return make(chan struct{}), nil
}

// Left is nothing.
func (k kernel) Left() []netip.Addr { return nil }

// HeldByNeighbour is false: nothing is released in a burst.
func (k kernel) HeldByNeighbour(context.Context, string, netip.Addr, time.Time) (bool, error) {
	return false, nil
}

// pipes is a listener whose connections come from dial.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a connection.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr is of no use to anyone.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
