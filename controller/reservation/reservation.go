// Package reservation keeps ReservedCIDR objects and EC2's subnet CIDR
// reservations the same: reservations are mirrored into objects (mirror.go),
// and objects with spec.create into reservations (claim.go).
//
// One subnet is one unit of work. Its reservations and addresses are read from
// EC2, and then everything that differs is put right, so that it does not
// matter what happened before, or to whom the lease belonged. A subnet is due
// at every sync interval (poll.go) and when an object with create changes.
//
// What cannot be read is never taken for gone: the objects stay as they are,
// and say so (stale.go).
package reservation

import (
	"context"
	"log/slog"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	// Finalizer keeps an object with create until its reservation is deleted.
	Finalizer = "multus-ipmgr.io/reservation"
	// TagUID is the tag of reservations that the controller made; its value is
	// the UID of the object that asked for it. Nothing else is ever deleted.
	TagUID = "multus-ipmgr.io/reservedcidr-uid"
	// TagName holds the name of that object, for people.
	TagName = "multus-ipmgr.io/reservedcidr"
)

// Cloud is EC2 as far as this package needs it. Lists are complete or an
// error; errors are *fault.Error.
type Cloud interface {
	Subnets(context.Context, vpc.Selection) (map[string]vpc.Subnet, error)
	Reservations(ctx context.Context, subnetID string) ([]vpc.Reservation, error)
	ENIs(ctx context.Context, subnetID string) ([]vpc.ENI, error)
	Reserve(context.Context, vpc.Request) (vpc.Reservation, error)
	Release(ctx context.Context, id string) error
}

// Options are what a Reconciler is made of. All fields are required.
type Options struct {
	Client    client.Client // reads from a cache that is indexed by IndexSubnet
	Cloud     Cloud
	Selection vpc.Selection
	// Interval is the time between two looks at a subnet, give or take a tenth.
	Interval time.Duration
	// Settle is how long EC2 may take to list a new reservation.
	Settle time.Duration
	// Limiter says how long to wait after failures of a subnet in a row.
	Limiter workqueue.TypedRateLimiter[string]
	Log     *slog.Logger
	Now     func() time.Time
}

// Reconciler does the work of one subnet at a time.
type Reconciler struct {
	Options
	catalog *catalog
	ledger  *ledger
	first   *first
}

// New returns a reconciler that has looked at nothing yet.
func New(o Options) *Reconciler {
	return &Reconciler{Options: o, catalog: &catalog{selection: o.Selection}, ledger: newLedger(o.Now), first: newFirst()}
}

// Keys of log lines.
const (
	keyAction      = "action"
	keyCIDR        = "cidr"
	keyCreated     = "created"
	keyDeleted     = "deleted"
	keyChanged     = "changed"
	keyError       = "error"
	keyName        = "name"
	keyReason      = "reason"
	keyReservation = "reservation"
	keySubnet      = "subnet"
	keySubnets     = "subnets"
)
