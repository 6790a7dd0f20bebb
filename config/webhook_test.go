package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/multus-ipmgr/multus-ipmgr/config"
)

// decode reads YAML documents as strictly as "kubectl apply
// --validate=strict" does: unknown and doubled fields are errors.
func decode(t *testing.T, data []byte) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for document := range bytes.SplitSeq(data, []byte("\n---\n")) {
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		objects = append(objects, object)
	}
	return objects
}

func TestManifestsAreWhatKubernetesKnows(t *testing.T) {
	var files []string
	for _, pattern := range []string{"webhook/*.yaml", "controller/*.yaml", "cert-manager/*ing.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) < 2 {
			t.Fatalf("%s: files %q, error %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(decode(t, data)) == 0 {
			t.Errorf("%s is empty", file)
		}
	}
}

func TestManifestsNameImagesOfOneRelease(t *testing.T) {
	var images []string
	for _, file := range []string{"webhook/deployment.yaml", "controller/deployment.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)image[:=] ?(\S+)$`).FindAllSubmatch(data, -1) {
			images = append(images, string(match[1]))
		}
	}
	const release = "v0.1.0"
	want := []string{"multus-ipmgr/webhook:" + release, "multus-ipmgr/ipmgr:" + release, "multus-ipmgr/controller:" + release}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestWebhookMayReadWhatItDecidesByAndNothingElse(t *testing.T) {
	var rules []rbacv1.PolicyRule
	for _, object := range decode(t, config.WebhookRBAC()) {
		if role, ok := object.(*rbacv1.ClusterRole); ok {
			rules = append(rules, role.Rules...)
		}
	}
	read := []string{"get", "list", "watch"}
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: read},
		{APIGroups: []string{"k8s.cni.cncf.io"}, Resources: []string{"network-attachment-definitions"}, Verbs: read},
		{APIGroups: []string{"multus-ipmgr.io"}, Resources: []string{"reservedcidrs"}, Verbs: read},
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestMutatingWebhookKeepsItsPromises(t *testing.T) {
	c, err := config.MutatingWebhook("https://127.0.0.1:1", []byte("CA"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name >= "pod-identity-webhook" {
		t.Errorf("%s is called after pod-identity-webhook, which then misses our container", c.Name)
	}
	for _, w := range c.Webhooks {
		if *w.ClientConfig.URL != "https://127.0.0.1:1/mutate-pods" || string(w.ClientConfig.CABundle) != "CA" || w.ClientConfig.Service != nil {
			t.Errorf("%s: client %+v", w.Name, w.ClientConfig)
		}
		if *w.FailurePolicy != admissionregistrationv1.Fail || *w.SideEffects != admissionregistrationv1.SideEffectClassNone ||
			*w.ReinvocationPolicy != admissionregistrationv1.IfNeededReinvocationPolicy || !slices.Equal(w.AdmissionReviewVersions, []string{"v1"}) {
			t.Errorf("%s: %+v", w.Name, w)
		}
		if len(w.MatchConditions) != 2 {
			t.Errorf("%s: match conditions %+v", w.Name, w.MatchConditions)
		}
		var protected []string
		for _, r := range w.NamespaceSelector.MatchExpressions {
			if r.Key == "kubernetes.io/metadata.name" {
				protected = r.Values
			}
		}
		if !slices.Equal(protected, []string{"kube-system", "multus-ipmgr-system"}) {
			t.Errorf("%s: leaves alone %q", w.Name, protected)
		}
	}
}

func TestValidatingWebhookKeepsItsPromises(t *testing.T) {
	c, err := config.ValidatingWebhook("https://127.0.0.1:1", []byte("CA"))
	if err != nil {
		t.Fatal(err)
	}
	type promise struct {
		Path       string
		Policy     admissionregistrationv1.FailurePolicyType
		Resources  []string
		Conditions int
	}
	pods := []string{"pods"}
	want := map[string]promise{
		"networks.multus-ipmgr.io":          {"/validate-nads", admissionregistrationv1.Ignore, []string{"network-attachment-definitions"}, 2},
		"create.namespaces.multus-ipmgr.io": {"/validate-pods", admissionregistrationv1.Ignore, pods, 2},
		"update.namespaces.multus-ipmgr.io": {"/validate-pods", admissionregistrationv1.Fail, pods, 3},
		"create.pods.multus-ipmgr.io":       {"/validate-pods", admissionregistrationv1.Ignore, pods, 2},
		"update.pods.multus-ipmgr.io":       {"/validate-pods", admissionregistrationv1.Fail, pods, 3},
		"bindings.multus-ipmgr.io":          {"/validate-pods", admissionregistrationv1.Fail, []string{"pods/binding", "bindings"}, 1},
	}
	got := map[string]promise{}
	for _, w := range c.Webhooks {
		got[w.Name] = promise{strings.TrimPrefix(*w.ClientConfig.URL, "https://127.0.0.1:1"), *w.FailurePolicy, w.Rules[0].Resources, len(w.MatchConditions)}
		if string(w.ClientConfig.CABundle) != "CA" || w.ClientConfig.Service != nil {
			t.Errorf("%s: client %+v", w.Name, w.ClientConfig)
		}
		if *w.SideEffects != admissionregistrationv1.SideEffectClassNone || !slices.Equal(w.AdmissionReviewVersions, []string{"v1"}) {
			t.Errorf("%s: %+v", w.Name, w)
		}
		if *w.FailurePolicy == admissionregistrationv1.Fail && !concernsOptedIn(w) {
			t.Errorf("%s: whom it delays did not opt in", w.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
}

// concernsOptedIn reports whether a webhook is called for namespaces or pods only
// that opted in, and never for those that bring a cluster up.
func concernsOptedIn(w admissionregistrationv1.ValidatingWebhook) bool {
	opted := w.ObjectSelector != nil && w.ObjectSelector.MatchLabels["multus-ipmgr.io/inject"] == "enabled"
	protected := false
	for _, r := range w.NamespaceSelector.MatchExpressions {
		opted = opted || r.Key == "multus-ipmgr.io/inject" && r.Operator == "In" && slices.Equal(r.Values, []string{"enabled"})
		protected = protected || r.Key == "kubernetes.io/metadata.name" && r.Operator == "NotIn" && slices.Contains(r.Values, "kube-system")
	}
	return opted && protected
}
