package nodegroup

import (
	"context"
	"errors"
	"strings"
)

// Action is Auto Scaling's lifecycle action: an instance that a hook holds until
// somebody answers.
type Action struct {
	// Group is the name of the Auto Scaling group.
	Group, Hook, Instance string
	// Token names this one, so that a late answer cannot be taken for that of a
	// later one. Empty means the one that holds the instance now.
	Token string
}

// ErrNotWaiting says that nobody waits: the action was answered, its time is
// over, or it never was.
var ErrNotWaiting = errors.New("no hook waits for the answer")

// Lifecycle is Auto Scaling's state of an instance.
type Lifecycle string

// launching reports whether a launch hook holds the instance, or a hook on its
// way back to the warm pool: in either case it is to have its ENIs.
func (l Lifecycle) launching() bool { return l == "Pending:Wait" || l == "Warmed:Pending:Wait" }

// leaving reports whether a termination hook holds the instance. It need not
// end: one whose root volume is replaced does not.
func (l Lifecycle) leaving() bool {
	return l == "Terminating:Wait" || l == "Warmed:Terminating:Wait" || l == "ReplacingRootVolume:Wait"
}

// Starting reports whether the instance is on its way into service, or into the
// warm pool.
func (l Lifecycle) Starting() bool {
	return strings.HasPrefix(string(l), "Pending") || strings.HasPrefix(string(l), "Warmed:Pending")
}

// Member is an instance of an Auto Scaling group.
type Member struct {
	ID, Type, Zone string
	State          Lifecycle
}

// ScalingGroup is an Auto Scaling group with the tags of the cluster and the node
// group.
type ScalingGroup struct {
	Name  string
	Zones []string
	// Types are the instance types that it names or has.
	Types       []string
	HasWarmPool bool
	// Members do not include those of the warm pool.
	Members []Member
	// Propagates says that both tags are propagated to instances at launch.
	Propagates bool
}

// Scaling is Auto Scaling. Its errors are *fault.Error, or wrap ErrNotWaiting.
type Scaling interface {
	// Groups lists the groups with both tags.
	Groups(ctx context.Context) ([]ScalingGroup, error)
	// WarmPool lists the warm pool of a group.
	WarmPool(ctx context.Context, group string) ([]Member, error)
	// States says in which state instances are. Those that belong to no group
	// are left out.
	States(ctx context.Context, instances []string) (map[string]Lifecycle, error)
	// Answer ends an action.
	Answer(ctx context.Context, a Action, r Result) error
	// Heartbeat postpones the time-out of an action.
	Heartbeat(ctx context.Context, a Action) error
}
