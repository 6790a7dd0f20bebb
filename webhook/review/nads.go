package review

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// NADPath is where reviews of NetworkAttachmentDefinitions are answered.
const NADPath = "/validate-nads"

// attachment is what is read of a NetworkAttachmentDefinition under review.
type attachment struct {
	Metadata struct {
		Name              string            `json:"name"`
		GenerateName      string            `json:"generateName"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
		DeletionTimestamp string            `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Config string `json:"config"`
	} `json:"spec"`
}

func networkKind() groupKind {
	return groupKind{Group: "k8s.cni.cncf.io", Kind: "NetworkAttachmentDefinition"}
}

// verdict is what became of a NAD.
type verdict string

// The verdicts.
const (
	admitted verdict = "admitted" // nothing was found
	warned   verdict = "warned"   // admitted, with warnings
	denied   verdict = "denied"
	skipped  verdict = "skipped" // not checked
	failed   verdict = "failed"  // no decision was possible
)

func verdicts() []verdict { return []verdict{admitted, warned, denied, skipped, failed} }

// nadHandler answers the reviews of NADs that are created and updated.
type nadHandler struct {
	cluster Cluster
	policy  inject.Policy
	metrics *metrics
	log     *slog.Logger
}

// newNADHandler answers reviews of NADs over HTTP.
func newNADHandler(e entrance, h *nadHandler) http.Handler {
	return &reviewHandler[attachment]{entrance: e, handle: h.handle, metrics: h.metrics, log: h.log}
}

func (h *nadHandler) handle(ctx context.Context, req *request[attachment]) *admissionv1.AdmissionResponse {
	if req.Kind != networkKind() {
		h.metrics.failed(failReview)
		return refuse(req.UID, http.StatusBadRequest, metav1.StatusReasonBadRequest,
			fmt.Errorf("%s reviews NetworkAttachmentDefinitions, and this is a %s; fix the rules of the ValidatingWebhookConfiguration", NADPath, req.Kind))
	}
	ctx, cancel := context.WithTimeout(ctx, DecisionTimeout)
	defer cancel()
	ns, err := h.cluster.Namespace(ctx, req.Namespace, false)
	if err != nil {
		return h.unchecked(ctx, req, err)
	}
	how := h.policy.ValidationIn(ns)
	if how == inject.Off || req.Object.Metadata.DeletionTimestamp != "" {
		h.metrics.judged(skipped, nil)
		return allow(req.UID)
	}
	definition := definitionOf(req)
	report, err := h.check(ctx, definition)
	if err != nil {
		return h.unchecked(ctx, req, err)
	}
	report.Findings = append(report.Findings, inject.KeyFindings(inject.KindNAD, definition.Object(), "", definition.Labels, req.Object.Metadata.Annotations)...)
	r, v := judge(req.UID, definition, report, how)
	h.metrics.judged(v, report.Findings)
	h.report(ctx, req, definition, v, report)
	return r
}

// unchecked admits a NAD that could not be checked. Checks are advice: a
// refusal would stand, whatever failurePolicy says.
func (h *nadHandler) unchecked(ctx context.Context, req *request[attachment], err error) *admissionv1.AdmissionResponse {
	h.metrics.judged(failed, nil)
	h.log.LogAttrs(ctx, slog.LevelError, "network not checked", slog.String(keyNamespace, req.Namespace), slog.String(keyName, req.Object.Metadata.Name), slog.Any(keyError, err))
	return allow(req.UID, fmt.Sprintf("the addresses were not checked: %v", err))
}

func definitionOf(req *request[attachment]) nad.Definition {
	m := req.Object.Metadata
	if m.Name == "" {
		m.Name = m.GenerateName + "*"
	}
	return nad.Definition{Namespace: req.Namespace, Name: m.Name, Labels: m.Labels, Annotations: m.Annotations, Config: req.Object.Spec.Config}
}

// check checks by the caches, and against fresh reservations before an error
// stands: one "kubectl apply" may create reservations and networks.
func (h *nadHandler) check(ctx context.Context, d nad.Definition) (nad.Report, error) {
	network := nad.Read(d)
	report, err := nad.NewChecker(h.cluster.Reservations(ctx, false), h.cluster.Ranges()).Network(ctx, network)
	if err == nil && report.Failed() {
		report, err = nad.NewChecker(h.cluster.Reservations(ctx, true), h.cluster.Ranges()).Network(ctx, network)
	}
	return report, err
}

// judge turns findings into an answer: all errors at once, each with its
// field, and what else was found as warnings.
func judge(uid types.UID, d nad.Definition, report nad.Report, how inject.Validation) (*admissionv1.AdmissionResponse, verdict) {
	v := admitted
	var causes []metav1.StatusCause
	var rules, grave, mild []string
	for _, f := range report.Findings {
		rules = append(rules, string(f.Rule))
		switch {
		case f.Severity == nad.Error && how == inject.Enforce:
			causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Message: f.Message, Field: f.Field})
		case f.Severity == nad.Error:
			grave = append(grave, f.String())
		default:
			mild = append(mild, f.String())
		}
	}
	r := allow(uid)
	if len(causes) > 0 {
		r, v = deny(uid, refusal(d, causes)), denied
		r.Result.Details = &metav1.StatusDetails{Name: d.Name, Group: networkKind().Group, Kind: networkKind().Kind, Causes: causes}
	} else if len(rules) > 0 {
		v = warned
	}
	r.Warnings = inject.Bounded(append(grave, mild...), "warnings", inject.MaxWarnings)
	if len(rules) > 0 {
		r.AuditAnnotations = map[string]string{"rules": strings.Join(rules, ",")}
	}
	return r, v
}

// refusal is the message that users see: kubectl shows nothing but it.
func refusal(d nad.Definition, causes []metav1.StatusCause) string {
	var text strings.Builder
	fmt.Fprintf(&text, "the addresses of NetworkAttachmentDefinition %s cannot work", d.Object())
	lines := make([]string, len(causes))
	for i, c := range causes {
		lines[i] = c.Field + ": " + c.Message
	}
	for _, line := range inject.Bounded(lines, "errors", inject.MaxDetail) {
		text.WriteString("\n- " + line)
	}
	fmt.Fprintf(&text, "\nTo admit it anyway, label its namespace %s=%s.", inject.ValidateLabel, inject.WarnOnly)
	return text.String()
}

// report logs one line for each NAD in which something was found, and for
// others when debugging.
func (h *nadHandler) report(ctx context.Context, req *request[attachment], d nad.Definition, v verdict, report nad.Report) {
	level := slog.LevelInfo
	if v == admitted {
		level = slog.LevelDebug
	}
	if !h.log.Enabled(ctx, level) {
		return
	}
	texts := make([]string, len(report.Findings))
	for i, f := range report.Findings {
		texts[i] = f.String()
	}
	attrs := []slog.Attr{
		slog.String(keyNamespace, d.Namespace), slog.String(keyName, d.Name), slog.String(keyUID, string(req.UID)),
		slog.String(keyDecision, string(v)), slog.Any(keyFindings, texts),
	}
	if req.DryRun {
		attrs = append(attrs, slog.Bool(keyDryRun, true))
	}
	h.log.LogAttrs(ctx, level, "network checked", attrs...)
}
