package review

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// open is a cluster in which every namespace opted in, every network exists, and
// nothing is reserved.
type open struct{}

func (open) Namespace(_ context.Context, name string, _ bool) (inject.Namespace, error) {
	return inject.Namespace{Name: name, Labels: map[string]string{inject.InjectLabel: inject.Enabled}}, nil
}

func (open) CachedNAD(string, string) (nad.Network, bool) {
	return nad.Network{Managed: true, Addressed: true}, true
}

func (open) LiveNAD(context.Context, string, string) (nad.Network, bool, error) {
	return nad.Network{Managed: true, Addressed: true}, true, nil
}

func (open) Ranges() *nad.Index { return nad.NewIndex() }

func (open) Reservations(context.Context, bool) []nad.Reservation { return nil }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// reviewOf is a review of a pod, given as JSON.
func reviewOf(namespace, pod string) string {
	return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","kind":{"group":"","version":"v1","kind":"Pod"},"namespace":%q,"operation":"CREATE","object":%s}}`, namespace, pod)
}

// podOf is the JSON of a pod with networks.
func podOf(networks string) string {
	return fmt.Sprintf(`{"metadata":{"name":"upf","annotations":{%q:%q}},"spec":{"containers":[{"name":"upf","image":"upf"}]}}`, nad.NetworksAnnotation, networks)
}

// decodeAnswer reads an answer as the API server does.
func decodeAnswer(t *testing.T, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	var answered admissionv1.AdmissionReview
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&answered); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if answered.Kind != "AdmissionReview" || answered.APIVersion != "admission.k8s.io/v1" || answered.Request != nil || answered.Response == nil {
		t.Fatalf("answer %s", body)
	}
	return answered.Response
}

func TestReviewsAreAnsweredWithoutAServer(t *testing.T) {
	policy := inject.DefaultPolicy()
	policy.Image = "registry.example/ipmgr:v0"
	reviews := New(open{}, policy, discard())
	captured, err := os.ReadFile("../testdata/review.json") // by kube-apiserver 1.36
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		PodPath:  `"patchType":"JSONPatch"`,
		LatePath: "the pod has no IP manager",            // it comes after an admission that added none
		NADPath:  "reviews NetworkAttachmentDefinitions", // the review is of a pod
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(captured))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		reviews.ServeHTTP(answer, request)
		if body := answer.Body.String(); answer.Code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, answer.Code, body, want)
		}
	}
}

// FuzzReview looks for pods that make the handler panic, answer what the API
// server cannot read, or answer by a patch that does not apply, and for bodies
// that make the decoder panic.
func FuzzReview(f *testing.F) {
	f.Add(podOf("net-a@net1,b/c"))
	f.Add(`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"a","multus-ipmgr.io/injected":"x"}},"spec":{"initContainers":[{},{"name":"multus-ipmgr"}]}}`)
	f.Add(`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"[{\"name\":\"a\"}]","multus-ipmgr.io/mode":"sidecar"}},"spec":{"volumes":[],"containers":[{"resources":{"limits":{"cpu":1,"memory":"x"}}}]}}`)
	f.Add(`null`)
	f.Add(`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"0"}}}`)
	f.Add(`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"0"}},"spec":null}`)
	f.Add(`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/networks":"0"}},"spec":{"initContainers":null,"volumes":null,"affinity":null,"imagePullSecrets":null,"containers":null}}`)
	policy := inject.DefaultPolicy()
	policy.WebIdentity.RoleARN = "arn"
	h := &podHandler{cluster: open{}, policy: policy, metrics: newMetrics(), log: discard()}
	f.Fuzz(func(t *testing.T, pod string) {
		_, _ = decodeReview[inject.Pod]([]byte(pod)) // no review, or any one: it must only not panic
		req, err := decodeReview[inject.Pod]([]byte(reviewOf("apps", pod)))
		if err != nil {
			return
		}
		encoded, err := encodeReview(h.handle(t.Context(), req))
		if err != nil {
			t.Fatal(err)
		}
		answer := decodeAnswer(t, encoded)
		if answer.Allowed != (answer.Result == nil) {
			t.Errorf("answer %s", encoded)
		}
		if len(answer.Patch) == 0 {
			return
		}
		patch, err := jsonpatch.DecodePatch(answer.Patch)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := patch.Apply([]byte(pod)); err != nil {
			t.Errorf("%s does not apply to %s: %v", answer.Patch, pod, err)
		}
	})
}
