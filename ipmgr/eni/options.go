package eni

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// DialFunc opens a connection, as net.Dialer.DialContext does. It is called
// with IP addresses only: names are resolved before, through the same function.
type DialFunc = wire.DialFunc

// Options are what a Cloud needs. The zero value works on a worker whose IMDS
// answers or whose environment names the Region.
type Options struct {
	// Discovery is where ENIs are looked up; empty means spec.DiscoverAuto.
	Discovery spec.Discovery
	// HostIP is an address of the worker. EC2 finds the worker by it when no
	// interface of the pod has an ENI's MAC.
	HostIP netip.Addr
	// Version ends the user agent, multus-ipmgr/VERSION.
	Version string
	// Dial opens every connection, those to name servers included. Nil means a
	// plain net.Dialer.
	Dial DialFunc
	// DialWorker opens those to services of the worker at their own, link-local
	// addresses: IMDS and the agents that give credentials. It must not reach
	// an application of the pod that plays them. Nil means Dial.
	DialWorker DialFunc
	// Alone: no application of the pod runs while the Cloud is used, so that
	// nobody can play IMDS to it.
	Alone bool
	// AWS are settings that stand before those of the environment, which the
	// SDK reads from the process's variables and the files that they name.
	AWS []func(*awsconfig.LoadOptions) error
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// Jitter returns a random duration below its argument; nil means rand.N.
	Jitter func(limit time.Duration) time.Duration
	// Logger is told what changed; nil discards.
	Logger *slog.Logger
	// Observe is called for every EC2 call, with its action, "ok" or the error code,
	// whether EC2 throttled it, and how long it took. It may be called concurrently. Nil observes nothing.
	Observe func(action, code string, throttled bool, took time.Duration)
}

// agent is our name in the user agent.
const agent = "multus-ipmgr"

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
	if opts.DialWorker == nil {
		opts.DialWorker = opts.Dial
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
		opts.Observe = func(string, string, bool, time.Duration) {}
	}
	return opts
}

// dialService opens a connection to a service of the worker. Where the user
// named an endpoint of their own, that is where it goes.
func (o Options) dialService(ctx context.Context, network, addr string) (net.Conn, error) {
	if target, err := netip.ParseAddrPort(addr); err == nil && !wire.IsService(target.Addr()) {
		return o.Dial(ctx, network, addr)
	}
	return o.DialWorker(ctx, network, addr)
}
