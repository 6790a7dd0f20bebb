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

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

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
