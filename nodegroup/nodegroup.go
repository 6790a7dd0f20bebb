// Package nodegroup gives a worker its Multus ENIs: one in the subnet of each
// network in the worker's zone, attached, deleted with the worker, and with an
// address that no pod gets.
//
// It owns the loop: look, compare, do, look again, until a look that began
// after the last write shows nothing missing. What is wanted and what is
// missing is decided by nodegroup/plan. It knows nothing of what wakes it up,
// nor of how AWS is called.
package nodegroup

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// Instance is a worker as EC2 describes it.
type Instance struct {
	plan.Instance
	Tags map[string]string
	// ENIs are those that are attached to it. EC2 does not say their tags here,
	// so that none of them has a network.
	ENIs []plan.ENI
}

// Request asks for a new ENI.
type Request struct {
	Token          string
	Subnet         string
	SecurityGroups []string
	// Address is the primary one; the zero Addr leaves it to EC2.
	Address netip.Addr
	// IPv6 asks for an IPv6 address, which EC2 chooses.
	IPv6        bool
	Description string
	Tags        map[string]string
}

// Cloud is EC2. Its errors are *fault.Error.
type Cloud interface {
	// Instance describes a worker. One that EC2 does not know has no state.
	Instance(ctx context.Context, id string) (Instance, error)
	// Tagged lists the ENIs with the tags of the cluster, the node group and
	// the instance.
	Tagged(ctx context.Context, instance string) ([]plan.ENI, error)
	// Unattached lists the ENIs with the tags of the cluster and the node group
	// that are attached to nothing.
	Unattached(ctx context.Context) ([]plan.ENI, error)
	// ENIs describes those of the ids that exist.
	ENIs(ctx context.Context, ids []string) ([]plan.ENI, error)
	// Subnets describes those of the ids that exist, without what is in them.
	Subnets(ctx context.Context, ids []string) (map[string]plan.Subnet, error)
	// Contents says what is reserved and held in a subnet, and which of its ENIs
	// are those of the node group.
	Contents(ctx context.Context, subnet string) (Contents, error)
	// Limits says how many ENIs an instance type takes.
	Limits(ctx context.Context, instanceType string) (plan.Limits, error)

	// Create makes an ENI with its tags.
	Create(ctx context.Context, r Request) (plan.ENI, error)
	// Attach returns the id of the attachment.
	Attach(ctx context.Context, eni, instance string, device, card int) (string, error)
	// Protect has EC2 delete the ENI with its instance.
	Protect(ctx context.Context, eni, attachment string) error
	// Uncheck turns the source/destination check off.
	Uncheck(ctx context.Context, eni string) error
	// Detach begins to take the ENI off its instance.
	Detach(ctx context.Context, attachment string) error
	// Delete succeeds if the ENI is gone already.
	Delete(ctx context.Context, eni string) error
}

// Contents is what is in a subnet.
type Contents struct {
	// Reserved are its CIDR reservations, and ReservedForPods says that one of
	// them is of type explicit.
	Reserved        []netip.Prefix
	ReservedForPods bool
	// Held are the addresses and delegated prefixes of its ENIs.
	Held []netip.Prefix
	// Ours are its ENIs with the tags of the cluster and the node group.
	Ours []plan.ENI
	// Served are the instances for which another node group of the cluster has
	// an ENI there.
	Served map[string]bool
}

// Launch is an instance that is being launched.
type Launch struct {
	Instance string
	// NodeGroup is the value of the group's tag.
	NodeGroup string
}

// Peers knows which instances are being launched by all groups of the cluster:
// they look for addresses at the same time.
type Peers interface {
	Launching(ctx context.Context, zone string) ([]Launch, error)
}

// Group makes the ENIs of the workers of one node group.
type Group struct {
	Settings spec.Settings
	Cloud    Cloud
	// Peers may be nil: then each worker asks for the first free address.
	Peers Peers
	Log   *slog.Logger
	// Random is in [0,1), for jitter.
	Random func() float64
}

// Result is what becomes of an instance that waits.
type Result string

// The results. Their values are those of the dry run's output; the first two
// are Auto Scaling's.
const (
	Continue Result = "CONTINUE" // it has its ENIs
	Abandon  Result = "ABANDON"  // it will not get them: end it
	Wait     Result = "WAIT"     // keep it waiting, and try again
	NotOurs  Result = "IGNORE"
)

// Outcome is what Ensure came to.
type Outcome struct {
	Result   Result
	Refusals []plan.Refusal
	Warnings []string
}

const (
	// confirmAfter is the time between the two looks that must agree before a
	// worker is refused: Describe lags, and an ABANDON cannot be taken back.
	confirmAfter = 5 * time.Second
	// authoriseAfter is how long a denied call waits before it is made once
	// more: a new role and the tags of a new ENI reach IAM late.
	authoriseAfter = 20 * time.Second
	// trust is how long a write that EC2 acknowledged counts though no look
	// shows it.
	trust = 30 * time.Second
	// firstPause and lastPause bound the jittered pause between looks.
	firstPause = time.Second
	lastPause  = 10 * time.Second
)
