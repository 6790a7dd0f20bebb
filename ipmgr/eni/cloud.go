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
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
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

// Cloud is the worker's view of its ENIs, and the calls that change them. It
// is safe for concurrent use.
type Cloud struct {
	opts  Options
	env   *environment
	imds  *metadataService
	facts *facts
	room  *room
	api   api
}

// agent is our name in the user agent.
const agent = "multus-ipmgr"

// New returns a Cloud. It makes no connection: what can only be found out by
// one is reported by the first call that needs it. AWS settings that cannot be
// used are a *fault.Error.
func New(ctx context.Context, opts Options) (*Cloud, error) {
	opts = withDefaults(opts)
	reprobe := imdsReprobe
	switch opts.Discovery {
	case spec.DiscoverAuto, spec.DiscoverEC2:
	case spec.DiscoverIMDS:
		reprobe = 0 // there is nobody else to ask
	default:
		return nil, fmt.Errorf("discovery %q: want auto, imds or ec2", opts.Discovery)
	}
	env, err := newEnvironment(ctx, opts, reprobe)
	if err != nil {
		return nil, err
	}
	c := &Cloud{opts: opts, env: env, imds: env.imds, facts: newFacts(), room: newRoom()}
	c.api = api{vpc.New(vpc.Options{
		Config: env.forEC2, Name: agent, Version: opts.Version, Timeout: callTimeout,
		Observe: opts.Observe, Logger: opts.Logger, Now: opts.Now,
	})}
	return c, nil
}

// Close closes idle connections. The Cloud stays usable.
func (c *Cloud) Close() { c.env.close() }

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

// Attached reports the ENIs of the worker that addrs may belong to, with the
// addresses that the cloud shows on them now. ENIs are looked up by the MACs
// in addrs; all ENIs of the worker are reported when a MAC is not an ENI's.
// An ENI that EC2 found by its MAC has no Subnets: the MAC is proof enough.
func (c *Cloud) Attached(ctx context.Context, addrs []plan.Address) ([]plan.ENI, error) {
	if len(addrs) == 0 {
		return nil, nil
	}
	if c.opts.Discovery == spec.DiscoverEC2 {
		return c.attachedByEC2(ctx, addrs)
	}
	enis, err := c.attachedByIMDS(ctx, addrs)
	if err == nil {
		enis = c.believe(ctx, addrs, enis)
		c.facts.report(enis)
		return enis, nil
	}
	if ctx.Err() != nil {
		return nil, ended(ctx, err)
	}
	if c.opts.Discovery == spec.DiscoverIMDS {
		return nil, imdsFailure(err)
	}
	if errors.Is(err, errUnavailable) && c.facts.firstFallback() {
		c.opts.Logger.Info("instance metadata does not answer, EC2 is asked instead", "error", err)
	}
	enis, stood := c.attachedByEC2(ctx, addrs)
	if c.imds.hasAnswered() && !errors.Is(err, errNotFound) {
		stood = untilIMDSAnswers(stood, err)
	}
	return enis, stood
}

// untilIMDSAnswers is a refusal of EC2's that does not last, because IMDS will
// answer again: a role that may assign, and not describe, needs no EC2 to look.
func untilIMDSAnswers(refusal, failed error) error {
	told, ok := errors.AsType[*fault.Error](refusal)
	if !ok || !told.Meaning.Permanent() {
		return refusal
	}
	passing := told.With("EC2 was asked because of: " + failed.Error())
	passing.Meaning = fault.Transient
	return passing
}

// Owner names the ENI that holds addr. It is the zero Holder when none does. It looks in the
// VPC of the worker's ENIs, because addresses repeat across VPCs.
func (c *Cloud) Owner(ctx context.Context, addr netip.Addr) (plan.Holder, error) {
	vpc, err := c.vpcFor(ctx, addr)
	if err != nil {
		return plan.Holder{}, failed(err, addr, "")
	}
	owners, err := c.owners(ctx, vpc, []netip.Addr{addr})
	if err != nil {
		return plan.Holder{}, failed(err, addr, "")
	}
	return owners[addr].holder(), nil
}
