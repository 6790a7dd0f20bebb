package review

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// DecisionTimeout bounds all reads that are made for one decision, one after
// another. The API server waits ten seconds for the answer about a pod and five
// for that about a NAD; then failurePolicy decides, and not we.
const DecisionTimeout = 4 * time.Second

// Cluster is what a decision needs to know of the cluster.
type Cluster interface {
	// Namespace reads a namespace: from a cache, or from the API server if
	// fresh or if the cache does not have it. An error says that it could not
	// be read.
	Namespace(ctx context.Context, name string, fresh bool) (inject.Namespace, error)
	// CachedNAD reads what a NetworkAttachmentDefinition means from a cache, and
	// LiveNAD from the API server. They report false when there is none.
	CachedNAD(namespace, name string) (nad.Network, bool)
	LiveNAD(ctx context.Context, namespace, name string) (nad.Network, bool, error)
	// Ranges knows what all NetworkAttachmentDefinitions hand out that are cached.
	Ranges() *nad.Index
	// Reservations returns the subnet CIDR reservations: from a cache, or from
	// the API server if fresh and if it can be asked. A cache returns the same
	// slice until they change, as what a check works out of it is kept.
	Reservations(ctx context.Context, fresh bool) []nad.Reservation
}

// podHandler answers the reviews of pods that are created.
type podHandler struct {
	cluster Cluster
	policy  inject.Policy
	metrics *metrics
	log     *slog.Logger
}

func (h *podHandler) handle(ctx context.Context, req *request[inject.Pod]) *admissionv1.AdmissionResponse {
	if req.Kind != (groupKind{Kind: "Pod"}) {
		h.metrics.failed(failReview)
		return refuse(req.UID, http.StatusBadRequest, metav1.StatusReasonBadRequest,
			fmt.Errorf("%s reviews Pods, and this is a %s; fix the rules of the MutatingWebhookConfiguration", PodPath, req.Kind))
	}
	started := time.Now()
	decision, err := h.decide(ctx, req)
	var r *admissionv1.AdmissionResponse
	if err == nil {
		r, err = answer(req.UID, decision)
	}
	if err != nil {
		h.metrics.failed(failCluster)
		h.log.LogAttrs(ctx, slog.LevelError, "admission failed", append(h.about(req), slog.Any(keyError, err))...)
		return refuse(req.UID, http.StatusInternalServerError, metav1.StatusReasonInternalError, err)
	}
	h.metrics.decided(decision.Reason, time.Since(started))
	h.report(ctx, req, decision)
	return r
}

// decide decides by the caches, and a second time by what is fresh where the
// caches may be behind what the user did a moment ago. What cannot be read in
// time counts as what cannot be read.
func (h *podHandler) decide(ctx context.Context, req *request[inject.Pod]) (inject.Decision, error) {
	reads, cancel := context.WithTimeout(ctx, DecisionTimeout)
	defer cancel()
	view := h.view(reads)
	ns, err := h.cluster.Namespace(reads, req.Namespace, false)
	if err != nil {
		return inject.Decision{}, err
	}
	decision, err := inject.Decide(ctx, req.Object, ns, view, h.policy)
	if err == nil && decision.Reason == inject.NamespaceNotEnabled {
		// The API server sends pods of enabled namespaces only: its cache is
		// ahead of ours, because the label is new.
		if ns, err = h.cluster.Namespace(reads, req.Namespace, true); err != nil {
			return inject.Decision{}, err
		}
		decision, err = inject.Decide(ctx, req.Object, ns, view, h.policy)
	}
	if err == nil && decision.Reason == inject.InvalidAddresses {
		view.Reservations = h.cluster.Reservations(reads, true)
		decision, err = inject.Decide(ctx, req.Object, ns, view, h.policy)
	}
	return decision, err
}

// view is what the caches say. reads is the context of what is asked past them.
func (h *podHandler) view(reads context.Context) inject.View {
	live := func(namespace, name string) (nad.Network, bool, error) {
		return h.cluster.LiveNAD(reads, namespace, name)
	}
	return inject.View{
		Networks:     inject.NewLookup(h.cluster.CachedNAD, live),
		Others:       h.cluster.Ranges(),
		Reservations: h.cluster.Reservations(reads, false),
	}
}

// report logs one line for each pod that is changed or denied, and for others
// when debugging.
func (h *podHandler) report(ctx context.Context, req *request[inject.Pod], d inject.Decision) {
	level := slog.LevelInfo
	if d.Reason.Outcome() == inject.Skipped && len(d.Warnings) == 0 {
		level = slog.LevelDebug
	}
	if !h.log.Enabled(ctx, level) {
		return
	}
	attrs := append(h.about(req), slog.String(keyDecision, string(d.Reason.Outcome())), slog.String(keyReason, string(d.Reason)))
	if d.Mode != "" {
		attrs = append(attrs, slog.String(keyMode, string(d.Mode)), slog.Any(keyInterfaces, d.Interfaces))
	}
	if d.Detail != "" {
		attrs = append(attrs, slog.String(keyDetail, d.Detail))
	}
	if len(d.Warnings) > 0 {
		attrs = append(attrs, slog.Any(keyWarnings, d.Warnings))
	}
	h.log.LogAttrs(ctx, level, "pod decided", attrs...)
}

// about says which pod a line is about. One that a controller creates has only
// the beginning of a name yet.
func (h *podHandler) about(req *request[inject.Pod]) []slog.Attr {
	name := req.Object.Metadata.Name
	if name == "" {
		name = req.Object.Metadata.GenerateName + "*"
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String(keyNamespace, req.Namespace), slog.String(keyPod, name), slog.String(keyUID, string(req.UID)))
	if req.DryRun {
		attrs = append(attrs, slog.Bool(keyDryRun, true))
	}
	return attrs
}
