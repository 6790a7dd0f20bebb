package finding

import (
	"context"
	"log/slog"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
)

// Bounds of the notices about single NADs: one lost reservation may break all
// of 10,000, and anyone who may create NADs could break as many repeatedly. A
// notice is an Event and a log line. docs/reservations.md lists the bounds.
const (
	// namespaceNotices is how many notices one namespace gets at once; each
	// namespaceRefill it gets another one.
	namespaceNotices = 10
	namespaceRefill  = time.Minute
	// allNotices and allRefill are the same for all namespaces together.
	allNotices = 100
	allRefill  = 6 * time.Second
	// summaryInterval is between two log lines that count the other NADs.
	summaryInterval = time.Minute
)

// action is what was done when an event was raised.
const action = "CheckReservations"

// ReasonFixed is the reason of the event that a NAD's addresses are reserved
// again. Events that they are not have the rule as reason: NotReserved,
// PrefixReservation or AWSReserved.
const ReasonFixed = "ReservedAgain"

// notices records events on NADs, within bounds, and counts those that it left
// out. It is not safe for concurrent use.
type notices struct {
	events     events.EventRecorder
	log        *slog.Logger
	all        *rate.Limiter
	namespaces map[string]*rate.Limiter // those that are not full

	summaries     *rate.Limiter
	broken, fixed int // without a notice since the last summary
}

func newNotices(recorder events.EventRecorder, log *slog.Logger) *notices {
	return &notices{
		events: recorder, log: log,
		all:        rate.NewLimiter(rate.Every(allRefill), allNotices),
		namespaces: map[string]*rate.Limiter{},
		summaries:  rate.NewLimiter(rate.Every(summaryInterval), 1),
	}
}

// tellBroken records that reservations break a NAD.
func (n *notices) tellBroken(ctx context.Context, o *nadv1.NetworkAttachmentDefinition, reason, text string) {
	if !n.allow(o.Namespace) {
		n.broken++
		return
	}
	n.events.Eventf(o, nil, corev1.EventTypeWarning, reason, action, "%s", text)
	n.log.LogAttrs(ctx, slog.LevelWarn, "network broken by reservations", slog.String(keyNetwork, o.Namespace+"/"+o.Name), slog.String(keyFinding, text))
}

// tellFixed records that the addresses of a NAD are reserved again.
func (n *notices) tellFixed(ctx context.Context, o *nadv1.NetworkAttachmentDefinition) {
	if !n.allow(o.Namespace) {
		n.fixed++
		return
	}
	n.events.Eventf(o, nil, corev1.EventTypeNormal, ReasonFixed, action, "the addresses are reserved again")
	n.log.LogAttrs(ctx, slog.LevelInfo, "network reserved again", slog.String(keyNetwork, o.Namespace+"/"+o.Name))
}

// allow takes a token of a namespace and one of all. A namespace that has none
// left takes none of the others'.
func (n *notices) allow(namespace string) bool {
	if n.all.Tokens() < 1 {
		return false
	}
	own := n.namespaces[namespace]
	if own == nil {
		own = rate.NewLimiter(rate.Every(namespaceRefill), namespaceNotices)
		n.namespaces[namespace] = own
	}
	return own.Allow() && n.all.Allow()
}

// flush logs how many NADs got no notice, and forgets namespaces that have
// all their tokens again. It returns when to call it again, zero for never.
func (n *notices) flush(ctx context.Context) time.Duration {
	for namespace, own := range n.namespaces {
		if own.Tokens() >= namespaceNotices {
			delete(n.namespaces, namespace)
		}
	}
	if n.broken+n.fixed == 0 {
		return 0
	}
	if !n.summaries.Allow() {
		return summaryInterval
	}
	n.log.LogAttrs(ctx, slog.LevelWarn, "more networks changed than are named one by one: see the metric multus_ipmgr_nads_broken",
		slog.Int(keyBroken, n.broken), slog.Int(keyFixed, n.fixed))
	n.broken, n.fixed = 0, 0
	return 0
}

// Keys of log lines.
const (
	keyNetwork = "network"
	keyFinding = "finding"
	keyBroken  = "broken"
	keyFixed   = "reservedAgain"
)
