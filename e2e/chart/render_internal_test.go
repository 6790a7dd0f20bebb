package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
)

const (
	directory = "../../charts/multus-ipmgr"
	namespace = "multus-ipmgr-system"
	plain     = "../../config"
)

var update = flag.Bool("update", false, "write the golden files again")

// helm runs helm, which make chart-test builds and names.
func helm(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	program := os.Getenv("HELM")
	if program == "" {
		t.Skip("HELM names no helm program: run make chart-test, which builds one")
	}
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return said.String(), err
	}
	return out.String(), nil
}

// template renders the chart with arguments such as --set a=b.
func template(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	return helm(t, append([]string{"template", "multus-ipmgr", directory, "--namespace", namespace}, arguments...)...)
}

// cases are the combinations of values that are rendered.
var cases = map[string][]string{
	"defaults":        nil,
	"self-managed":    {"--values", "testdata/self-managed.values.yaml"},
	"own-certificate": {"--values", "testdata/own-certificate.values.yaml"},
	"everything":      {"--values", "testdata/everything.values.yaml"},
	"webhook-only":    {"--values", "testdata/webhook-only.values.yaml"},
}

func TestRenderingIsAsRecorded(t *testing.T) {
	for name, arguments := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := template(t, arguments...)
			if err != nil {
				t.Fatalf("%v\n%s", err, got)
			}
			golden := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("run go test -update and look at the difference (-want +got):\n%s", diff)
			}
		})
	}
}

// render returns the objects of a case, read as strictly as "kubectl apply
// --validate=strict" does; those of kinds that are not Kubernetes's own or ours
// as they are.
func render(t *testing.T, arguments ...string) []runtime.Object {
	t.Helper()
	text, err := template(t, arguments...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return objects(t, []byte(text))
}

func objects(t *testing.T, data []byte) []runtime.Object {
	t.Helper()
	known := runtime.NewScheme()
	utilruntime.Must(scheme.AddToScheme(known))
	utilruntime.Must(v1alpha1.AddToScheme(known))
	utilruntime.Must(apiextensionsv1.AddToScheme(known))
	decoder := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	var list []runtime.Object
	for document := range bytes.SplitSeq(data, []byte("\n---\n")) {
		object, _, err := decoder.Decode(document, nil, nil)
		if runtime.IsNotRegisteredError(err) {
			var other unstructured.Unstructured
			err = yaml.UnmarshalStrict(document, &other.Object)
			object = &other
		}
		if runtime.IsMissingKind(err) && !bytes.Contains(document, []byte("kind:")) {
			continue // comments only
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		list = append(list, object)
	}
	return list
}

func TestEveryObjectIsWhatKubernetesKnowsAndHasLabelsAndANamespace(t *testing.T) {
	clusterWide := []string{
		"ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ReservedCIDR",
	}
	for name, arguments := range cases {
		t.Run(name, func(t *testing.T) {
			for _, object := range render(t, arguments...) {
				fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
				if err != nil {
					t.Fatal(err)
				}
				u := unstructured.Unstructured{Object: fields}
				want := namespace
				if slices.Contains(clusterWide, u.GetKind()) {
					want = ""
				}
				if u.GetNamespace() != want {
					t.Errorf("%s %s: namespace %q, want %q", u.GetKind(), u.GetName(), u.GetNamespace(), want)
				}
				if u.GetLabels()["app.kubernetes.io/name"] != "multus-ipmgr" || u.GetLabels()["helm.sh/chart"] == "" {
					t.Errorf("%s %s: labels %v", u.GetKind(), u.GetName(), u.GetLabels())
				}
			}
		})
	}
}

func TestImpossibleCombinationsFailWithASentence(t *testing.T) {
	own := []string{"--set", "certificate.mode=secret"}
	self := []string{"--set", "certificate.mode=selfManaged"}
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"kube-system":              {[]string{"--namespace", "kube-system"}, "Install into a namespace of its own"},
		"two certificates":         {[]string{"--set", "certificate.secretName=s"}, "certificate.mode=certManager creates one"},
		"an authority too many":    {append(self, "--set", "certificate.caBundle=PEM"), "certificate.mode=selfManaged creates one"},
		"an issuer for nothing":    {append(self, "--set", "certificate.certManager.issuerRef.name=i"), "needs certificate.mode=certManager, but the mode is selfManaged"},
		"no time to renew":         {append(self, "--set", "certificate.selfManaged.renewBefore=2160h"), "duration must be longer than renewBefore"},
		"a renewal at the end":     {append(self, "--set", "certificate.selfManaged.renewBefore=0s"), "renewBefore longer than 0s"},
		"less time than is needed": {[]string{"--set", "webhook.timeoutSeconds=4"}, "webhook.timeoutSeconds must be 5 or more"},
		"no certificate":           {own, "certificate.mode=secret needs both certificate.secretName and certificate.caBundle"},
		"a certificate without CA": {append(own, "--set", "certificate.secretName=s"), "certificate.mode=secret needs both certificate.secretName and certificate.caBundle"},
		"subnets by id and by tag": {[]string{"--set", "controller.subnets={subnet-1},controller.subnetTag=a=b"}, "controller.subnets and controller.subnetTag exclude each other"},
		"no subnets":               {[]string{"--set", "controller.subnetTag="}, "whose reservations to mirror"},
		"a budget of one webhook":  {[]string{"--set", "webhook.replicas=1"}, "webhook.podDisruptionBudget.enabled needs webhook.replicas=2"},
		"a budget of one controller": {
			[]string{"--set", "controller.replicas=1,controller.podDisruptionBudget.enabled=true"},
			"controller.podDisruptionBudget.enabled needs controller.replicas=2",
		},
		"a setting of each pod":      {[]string{"--set", "injection.env.IPMGR_HOST_IP=10.0.0.1"}, "injection.env.IPMGR_HOST_IP is set for each pod"},
		"an alert on every renewal":  {[]string{"--set", "metrics.prometheusRule.enabled=true,metrics.prometheusRule.certificateDays=30"}, "certificateDays=30 would alert before a certificate is renewed, 720h before expiry"},
		"an unknown value":           {[]string{"--set", "webhok.replicas=3"}, "webhok"},
		"a mode that is none":        {[]string{"--set", "injection.validate=maybe"}, "/injection/validate"},
		"no replica":                 {[]string{"--set", "webhook.replicas=0"}, "/webhook/replicas"},
		"a digest that is none":      {[]string{"--set", "images.ipmgr.digest=sha256:1"}, "/images/ipmgr/digest"},
		"a role that is none":        {[]string{"--set", "injection.webIdentity.roleARN=admin"}, "/injection/webIdentity/roleARN"},
		"a reservation without CIDR": {[]string{"--set", "reservedCIDRs[0].name=a"}, "/reservedCIDRs/0"},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := template(t, test.arguments...)
			if err == nil || !strings.Contains(strings.Join(strings.Fields(said), " "), test.want) {
				t.Errorf("error %v, said %q, want %q", err, said, test.want)
			}
		})
	}
}

func TestHelmFindsNoFault(t *testing.T) {
	for name, arguments := range cases {
		if said, err := helm(t, append([]string{"lint", "--strict", directory}, arguments...)...); err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	files, err := generate(os.DirFS(directory))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("run make generate: %s (-want +got):\n%s", name, diff)
		}
	}
}
