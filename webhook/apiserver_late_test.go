package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

const addNetworks = `{"metadata":{"annotations":{"` + nad.NetworksAnnotation + `":"net-a"}}}`

// TestLateNetworksAgainstARealAPIServer has networks come to pods after the
// mutating webhook was passed, by all ways that the API knows.
func TestLateNetworksAgainstARealAPIServer(t *testing.T) {
	w := newWorld(t)
	w.install(t)
	w.installValidation(t)
	w.namespace(t, "warned", map[string]string{inject.InjectLabel: inject.Enabled, inject.ValidateLabel: "warn"})
	t.Run("a gated pod gets networks", w.refusesAnnotationOfGatedPod)
	t.Run("a namespace that wants to be warned", w.warnsOfLateAnnotation)
	t.Run("status and other annotations are nobody's concern", w.leavesOtherUpdates)
	t.Run("an injected pod gets other networks", w.warnsOfOtherNetworks)
	t.Run("a binding brings networks", w.refusesBinding)
	t.Run("a webhook that runs later brings networks", w.refusesLaterWebhook)
	t.Run("while no replica answers, pods without networks can be changed", w.failsClosedForLateNetworks)
}

// gated creates a pod that no scheduler may bind yet.
func (w *world) gated(t *testing.T, namespace, name, networks string) {
	t.Helper()
	p := pod(name, networks)
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}}
	w.create(t, namespace, p)
	w.warnings.take()
}

func (w *world) patch(t *testing.T, namespace, name, patch string, subresources ...string) error {
	t.Helper()
	_, err := w.client.CoreV1().Pods(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
	return err
}

func (w *world) refusesAnnotationOfGatedPod(t *testing.T) {
	w.gated(t, "apps", "gated", "")
	if err := w.patch(t, "apps", "gated", addNetworks); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "a container cannot be added to an existing pod") {
		t.Errorf("error %v", err)
	}
	w.create(t, "plain", labelled(pod("in-by-itself", ""), inject.Enabled))
	if err := w.patch(t, "plain", "in-by-itself", addNetworks); !apierrors.IsInvalid(err) {
		t.Errorf("a pod that opts in by itself: error %v", err)
	}
	w.create(t, "plain", pod("not-in", ""))
	if err := w.patch(t, "plain", "not-in", addNetworks); err != nil {
		t.Errorf("a pod that did not opt in: %v", err)
	}
}

func (w *world) warnsOfLateAnnotation(t *testing.T) {
	w.gated(t, "warned", "gated", "")
	if err := w.patch(t, "warned", "gated", strings.ReplaceAll(addNetworks, "net-a", "apps/net-a")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.warnings.take(), "\n"); !strings.Contains(got, "the pod has no IP manager") {
		t.Errorf("warnings %q", got)
	}
}

// leavesOtherUpdates changes what kubelets, Multus and controllers change. The
// counter shows that the webhook is not asked.
func (w *world) leavesOtherUpdates(t *testing.T) {
	w.gated(t, "apps", "busy", "net-a")
	before := w.lateAdmissions(t)
	for _, c := range []struct{ patch, subresource string }{
		{`{"metadata":{"annotations":{"k8s.v1.cni.cncf.io/network-status":"[]"}}}`, "status"},
		{`{"status":{"message":"starting"}}`, "status"},
		{`{"metadata":{"labels":{"team":"net"}}}`, ""},
		{`{"spec":{"schedulingGates":null}}`, ""},
	} {
		var subresources []string
		if c.subresource != "" {
			subresources = []string{c.subresource}
		}
		if err := w.patch(t, "apps", "busy", c.patch, subresources...); err != nil {
			t.Errorf("%s: %v", c.patch, err)
		}
	}
	if after := w.lateAdmissions(t); after != before {
		t.Errorf("the webhook was asked:\n%s\n%s", before, after)
	}
}

func (w *world) lateAdmissions(t *testing.T) string {
	t.Helper()
	_, body := w.ops(t, "/metrics")
	var lines []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "multus_ipmgr_late_admissions_total") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func (w *world) warnsOfOtherNetworks(t *testing.T) {
	w.gated(t, "apps", "changed", "net-a")
	if err := w.patch(t, "apps", "changed", strings.ReplaceAll(addNetworks, "net-a", "net-a,net-a")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.warnings.take(), "\n"); !strings.Contains(got, "recreate the pod with this annotation") {
		t.Errorf("warnings %q", got)
	}
}

func (w *world) refusesBinding(t *testing.T) {
	bind := func(name string, annotations map[string]string) error {
		return w.client.CoreV1().Pods("apps").Bind(t.Context(), &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "apps", Annotations: annotations},
			Target:     corev1.ObjectReference{Kind: "Node", Name: "worker"},
		}, metav1.CreateOptions{})
	}
	w.create(t, "apps", pod("bound", ""))
	err := bind("bound", map[string]string{nad.NetworksAnnotation: "net-a"})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "a Binding must not set the annotation") {
		t.Errorf("error %v", err)
	}
	if err := bind("bound", nil); err != nil {
		t.Errorf("a scheduler's binding: %v", err)
	}
}

// refusesLaterWebhook settles that the API server does not call a webhook again
// that was not concerned the first time: reinvocationPolicy does not help.
func (w *world) refusesLaterWebhook(t *testing.T) {
	adder := httptest.NewUnstartedServer(http.HandlerFunc(annotate))
	w.serveTLS(t, adder)
	configuration, err := config.MutatingWebhook(adder.URL, w.authority.pem)
	if err != nil {
		t.Fatal(err)
	}
	configuration.Name, configuration.Webhooks = "zz-networks", configuration.Webhooks[:1]
	configuration.Webhooks[0].MatchConditions = nil
	w.configure(t, configuration)
	w.eventually(t, "refused", func() error {
		before := w.admissions(t)
		_, err := w.client.CoreV1().Pods("apps").Create(t.Context(), pod("later", ""), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `sorts before "multus-ipmgr"`) {
			return errOf(err)
		}
		if after := w.admissions(t); after != before {
			t.Errorf("the mutating webhook was called again, which makes the check needless:\n%s\n%s", before, after)
		}
		return nil
	})
	if err := w.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(t.Context(), "zz-networks", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// annotate answers a review by a networks annotation.
func annotate(rw http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	var p corev1.Pod
	if json.NewDecoder(r.Body).Decode(&review) != nil || json.Unmarshal(review.Request.Object.Raw, &p) != nil {
		http.Error(rw, "bad review", http.StatusBadRequest)
		return
	}
	p.Annotations = map[string]string{nad.NetworksAnnotation: "net-a"}
	value, _ := json.Marshal(p.Annotations) // a map of strings
	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, PatchType: new(admissionv1.PatchTypeJSONPatch)}
	answer.Patch = []byte(`[{"op": "add", "path": "/metadata/annotations", "value": ` + string(value) + `}]`)
	review.Request, review.Response = nil, answer
	_ = json.NewEncoder(rw).Encode(review) // a test that goes away needs no answer
}

func (w *world) failsClosedForLateNetworks(t *testing.T) {
	w.gated(t, "apps", "waits", "")
	w.stop()
	if err := w.patch(t, "apps", "waits", addNetworks); !apierrors.IsInternalError(err) {
		t.Errorf("error %v, want that the webhook cannot be called", err)
	}
	if err := w.patch(t, "apps", "waits", `{"metadata":{"labels":{"team":"net"}}}`); err != nil {
		t.Errorf("a pod without networks cannot be changed: %v", err)
	}
	if err := w.patch(t, "plain", "not-in", addNetworks); err != nil {
		t.Errorf("a pod of a namespace that did not opt in: %v", err)
	}
}
