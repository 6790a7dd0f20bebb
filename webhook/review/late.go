package review

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// LatePath is where pods are reviewed that nothing can be added to any more,
// and bindings, whose annotations become those of pods.
const LatePath = "/validate-pods"

// lateHandler answers these reviews.
type lateHandler struct{ podHandler }

// newLateHandler answers reviews of pods that were admitted, over HTTP.
func newLateHandler(e entrance, h *lateHandler) http.Handler {
	return &reviewHandler[inject.Pod]{entrance: e, handle: h.handle, metrics: h.metrics, log: h.log}
}

func (h *lateHandler) handle(ctx context.Context, req *request[inject.Pod]) *admissionv1.AdmissionResponse {
	if req.Kind != (groupKind{Kind: "Pod"}) && req.Kind != (groupKind{Kind: "Binding"}) {
		h.metrics.failed(failReview)
		return refuse(req.UID, http.StatusBadRequest, metav1.StatusReasonBadRequest,
			fmt.Errorf("%s reviews Pods and Bindings, and this is a %s; fix the rules of the ValidatingWebhookConfiguration", LatePath, req.Kind))
	}
	j, err := h.judge(ctx, req)
	if err != nil {
		return h.undecided(ctx, req, err)
	}
	r, v := allow(req.UID), admitted
	switch {
	case j.Denial != "":
		r, v = deny(req.UID, j.Denial), denied
	case len(j.Warnings) > 0:
		v = warned
	}
	r.Warnings = j.Warnings
	if j.Reason != "" {
		r.AuditAnnotations = map[string]string{"reason": string(j.Reason)}
	}
	h.metrics.late[v].Inc()
	if v != admitted {
		h.log.LogAttrs(ctx, slog.LevelInfo, "pod judged late", append(h.about(req),
			slog.String(keyDecision, string(v)), slog.String(keyReason, string(j.Reason)), slog.String(keyDetail, j.Denial), slog.Any(keyWarnings, j.Warnings))...)
	}
	return r
}

// undecided is the answer when the cluster cannot be read. A pod that is created
// was injected or refused a moment ago, so that this look is advice.
func (h *lateHandler) undecided(ctx context.Context, req *request[inject.Pod], err error) *admissionv1.AdmissionResponse {
	h.metrics.late[failed].Inc()
	h.log.LogAttrs(ctx, slog.LevelError, "pod not judged", append(h.about(req), slog.Any(keyError, err))...)
	if req.Operation == "CREATE" && req.Kind.Kind == "Pod" {
		return allow(req.UID, fmt.Sprintf("the pod's networks were not checked: %v", err))
	}
	return refuse(req.UID, http.StatusInternalServerError, metav1.StatusReasonInternalError, err)
}

// judge judges by the caches, and a second time by what is fresh, as decide
// does.
func (h *lateHandler) judge(ctx context.Context, req *request[inject.Pod]) (inject.Judgement, error) {
	change := inject.ByWebhook
	if req.Operation == "UPDATE" {
		change = inject.ByUpdate
		if req.OldObject.Metadata.Annotations[nad.NetworksAnnotation] == req.Object.Metadata.Annotations[nad.NetworksAnnotation] {
			return inject.Judgement{}, nil // it was judged before
		}
	}
	reads, cancel := context.WithTimeout(ctx, DecisionTimeout)
	defer cancel()
	view := h.view(reads)
	once := func(fresh bool) (inject.Judgement, error) {
		ns, err := h.cluster.Namespace(reads, req.Namespace, fresh)
		switch {
		case err != nil:
			return inject.Judgement{}, err
		case req.Kind.Kind == "Binding":
			return inject.JudgeBinding(req.Object.Metadata.Annotations, ns, h.policy), nil
		}
		return inject.Judge(ctx, change, req.Object, ns, view, h.policy)
	}
	j, err := once(false)
	if err == nil && (j.Denial != "" || j.Reason == inject.NamespaceNotEnabled) {
		view.Reservations = h.cluster.Reservations(reads, true)
		return once(true)
	}
	return j, err
}
