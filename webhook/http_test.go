package webhook

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

func TestCapturedReviewIsAnsweredByAPatchThatApplies(t *testing.T) {
	s := serve(t, &memory{})
	code, body := s.post(t, captured(t))
	answer := decodeAnswer(t, body)
	if code != http.StatusOK || !answer.Allowed || answer.UID != "55d6d071-9243-410a-a57d-cccec25e08fd" {
		t.Fatalf("%d %s", code, body)
	}
	var review struct {
		Request struct{ Object json.RawMessage }
	}
	if err := json.Unmarshal([]byte(captured(t)), &review); err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(answer.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(review.Request.Object)
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(patched, &pod); err != nil {
		t.Fatal(err)
	}
	if len(pod.Spec.InitContainers) != 1 || len(pod.Spec.Containers) != 2 {
		t.Errorf("containers %+v %+v", pod.Spec.InitContainers, pod.Spec.Containers)
	}
	if got := value(pod.Spec.InitContainers[0], "IPMGR_INTERFACES"); got != "n3,n6" {
		t.Errorf("IPMGR_INTERFACES=%q", got)
	}
	if got := answer.AuditAnnotations["reason"]; got != string(inject.Injected) {
		t.Errorf("audit annotation %q", got)
	}
}

func TestRequestsThatAreNoReviewAreRefusedInWords(t *testing.T) {
	s := serve(t, &memory{})
	const url, kind = review.PodPath, "application/json"
	for _, c := range []struct {
		name, method, path, contentType, body string
		code                                  int
		want                                  string
	}{
		{"another method", http.MethodGet, url, kind, "", 405, "want POST"},
		{"another path", http.MethodPost, "/", kind, "{}", 404, "404 page not found"},
		{"no content type", http.MethodPost, url, "", "{}", 415, "want application/json"},
		{"another content type", http.MethodPost, url, "application/yaml", "{}", 415, "want application/json"},
		{"an empty body", http.MethodPost, url, kind, "", 400, "the body is empty"},
		{"no JSON", http.MethodPost, url, kind, `{"kind":`, 400, "unexpected EOF"},
		{"JSON that is not an object", http.MethodPost, url, kind, `[]`, 400, "the body is not an AdmissionReview"},
		{"null", http.MethodPost, url, kind, `null`, 400, `want AdmissionReview of admission.k8s.io/v1`},
		{"another kind", http.MethodPost, url, kind, `{"kind":"Pod","apiVersion":"v1"}`, 400, `the body is "Pod" of "v1"; want AdmissionReview`},
		{"another version", http.MethodPost, url, kind, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"1"}}`, 400, `want AdmissionReview of admission.k8s.io/v1`},
		{"no request", http.MethodPost, url, kind, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, 400, "has no request"},
		{"no uid", http.MethodPost, url, kind, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{}}`, 400, "has no request with a uid"},
		{"labels that are no map", http.MethodPost, url, kind, reviewOf("apps", `{"metadata":{"labels":7}}`), 400, "/request/object/metadata/labels"},
		{"more than any review", http.MethodPost, url, kind, strings.Repeat(" ", review.MaxReview+1), 413, "longer than 5242880 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.method, "https://"+s.Address()+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", c.contentType)
			response, err := s.client(t, 0).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			code, body := read(t, response)
			if code != c.code || !strings.Contains(body, c.want) {
				t.Errorf("%d %q, want %d with %q", code, body, c.code, c.want)
			}
		})
	}
	if _, metrics := s.get(t, "/metrics"); !strings.Contains(metrics, `multus_ipmgr_admissions_total{decision="failed",reason="bad-review"} 13`) {
		t.Errorf("metrics do not count the refused requests:\n%s", metrics)
	}
}

func TestReviewsAreAnswered(t *testing.T) {
	big := podOf("net-a")
	big = strings.Replace(big, `"name":"upf",`, `"name":"upf","annotations2":"`+strings.Repeat("x", 3<<20)+`",`, 1)
	s := serve(t, &memory{
		stale:      map[string]inject.Namespace{"labelled-now": {Name: "labelled-now"}},
		namespaces: map[string]inject.Namespace{"off": {Name: "off"}},
	})
	for _, c := range []struct {
		name, body string
		allowed    bool
		patched    bool
		reason     string // of the audit annotation
		status     metav1.Status
		warnings   []string
	}{
		{name: "a pod with networks", body: reviewOf("apps", podOf("net-a")), allowed: true, patched: true, reason: "injected"},
		{name: "a pod of 3 MB", body: reviewOf("apps", big), allowed: true, patched: true, reason: "injected"},
		{name: "a namespace that the cache does not know to be enabled", body: reviewOf("labelled-now", podOf("net-a")), allowed: true, patched: true, reason: "injected"},
		{name: "a namespace that is not enabled", body: reviewOf("off", podOf("net-a")), allowed: true, reason: "namespace-not-enabled"},
		{name: "a pod without anything", body: reviewOf("apps", `{}`), allowed: true, reason: "no-networks"},
		{name: "a pod that is null", body: reviewOf("apps", `null`), allowed: true, reason: "no-networks"},
		{
			name: "a network that does not exist", body: reviewOf("apps", podOf("missing")), allowed: true, patched: true, reason: "injected",
			warnings: []string{"NetworkAttachmentDefinition apps/missing does not exist; the pod will not start until it does"},
		},
		{
			name: "an annotation that cannot be read", body: reviewOf("apps", podOf("a/b/c")), reason: "invalid-annotation",
			status: metav1.Status{Reason: metav1.StatusReasonInvalid, Code: 422, Message: `element 1 ("a/b/c"): has more than one "/"; want "name"`},
		},
		{
			name: "another kind of object", body: strings.Replace(reviewOf("apps", `{}`), `"kind":"Pod"`, `"kind":"Deployment"`, 1),
			status: metav1.Status{Reason: metav1.StatusReasonBadRequest, Code: 400, Message: "/mutate-pods reviews Pods, and this is a Deployment"},
		},
		{
			name: "a namespace that cannot be read", body: reviewOf("unreadable", podOf("net-a")),
			status: metav1.Status{Reason: metav1.StatusReasonInternalError, Code: 500, Message: "connection refused"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := s.post(t, c.body)
			answer := decodeAnswer(t, body)
			if code != http.StatusOK || answer.UID != "1" || answer.Allowed != c.allowed || len(answer.Patch) > 0 != c.patched {
				t.Errorf("%d %s", code, body)
			}
			if got := answer.AuditAnnotations["reason"]; got != c.reason {
				t.Errorf("reason %q, want %q", got, c.reason)
			}
			if !slices.Equal(answer.Warnings, c.warnings) {
				t.Errorf("warnings %q, want %q", answer.Warnings, c.warnings)
			}
			if c.allowed != (answer.Result == nil) {
				t.Fatalf("status %v", answer.Result)
			}
			if r := answer.Result; r != nil && (r.Reason != c.status.Reason || r.Code != c.status.Code || !strings.Contains(r.Message, c.status.Message)) {
				t.Errorf("status %+v, want %+v", *r, c.status)
			}
		})
	}
	if _, metrics := s.get(t, "/metrics"); !strings.Contains(metrics, `multus_ipmgr_admissions_total{decision="patched",reason="injected"} 4`) {
		t.Errorf("metrics do not count the injected pods:\n%s", metrics)
	}
}
