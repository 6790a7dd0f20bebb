package eni

import (
	"context"
	"errors"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/plan"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

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
