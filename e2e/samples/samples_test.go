package samples_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl"
)

const dir = "../../config/samples"

// reserved are the ranges that the samples are meant for.
const reserved = "10.10.1.64/26,2600:1f13:0:1::80/121"

// ipmgr runs kubectl-ipmgr.
func ipmgr(t *testing.T, arguments ...string) (code int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = kubectl.Run(t.Context(), arguments, "v0.1.0", kubectl.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	if stderr.Len() > 0 {
		t.Fatalf("kubectl-ipmgr %s: %s", strings.Join(arguments, " "), stderr.String())
	}
	return code, stdout.String()
}

// files are the samples, but for the list of them.
func files(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(dir + "/*.yaml")
	if err != nil || len(found) < 2 {
		t.Fatalf("files %q, error %v", found, err)
	}
	return slices.DeleteFunc(found, func(name string) bool { return filepath.Base(name) == "kustomization.yaml" })
}

// objects reads manifests.
func objects(t *testing.T, text string) []unstructured.Unstructured {
	t.Helper()
	var list []unstructured.Unstructured
	for document := range strings.SplitSeq(text, "\n---\n") {
		var o unstructured.Unstructured
		if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		list = append(list, o)
	}
	return list
}

func TestNothingIsFoundInTheSamples(t *testing.T) {
	type finding struct{ Object, Rule string }
	// No network of host-local is without that warning; the sample's comment
	// says what it means.
	want := []finding{{"multus-samples/host-local", "host-local-shared"}}
	for _, how := range [][]string{{"--reserved", reserved}, nil} { // and against the samples' own ReservedCIDRs
		code, out := ipmgr(t, append([]string{"check", "-f", dir, "-o", "json"}, how...)...)
		var report struct {
			Ranges   []any
			Findings []finding
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, report.Findings); diff != "" || code != 0 || len(report.Ranges) < 4 {
			t.Errorf("check %q: exit %d, %d ranges, findings (-want +got):\n%s", how, code, len(report.Ranges), diff)
		}
	}
}

func TestTheListOfSamplesIsComplete(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files(t) {
		names = append(names, filepath.Base(file))
	}
	slices.Sort(list.Resources)
	if diff := cmp.Diff(names, list.Resources); diff != "" {
		t.Errorf("samples (-files +kustomization):\n%s", diff)
	}
}

// template returns the pod template of a workload.
func template(t *testing.T, o *unstructured.Unstructured) (corev1.PodTemplateSpec, bool) {
	t.Helper()
	var template corev1.PodTemplateSpec
	fields, found, err := unstructured.NestedMap(o.Object, "spec", "template")
	if err != nil || !found {
		return template, false
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &template); err != nil {
		t.Fatal(err)
	}
	return template, true
}

func TestEveryPodOfTheSamplesGetsTheIPManager(t *testing.T) {
	modes := map[string]string{}
	for _, o := range objects(t, injected(t)) {
		pod, is := template(t, &o)
		if !is {
			continue
		}
		mode := pod.Annotations["multus-ipmgr.io/mode"]
		modes[o.GetName()] = mode
		if len(pod.Spec.InitContainers) != 1 || pod.Spec.InitContainers[0].Name != "multus-ipmgr" {
			t.Fatalf("%s: init containers %+v", o.GetName(), pod.Spec.InitContainers)
		}
		first := pod.Spec.InitContainers[0]
		if sidecar := first.RestartPolicy != nil && *first.RestartPolicy == corev1.ContainerRestartPolicyAlways; sidecar != (mode == "sidecar") {
			t.Errorf("%s: mode %q, restart policy %v", o.GetName(), mode, first.RestartPolicy)
		}
		for _, e := range first.Env {
			if e.Name == "IPMGR_POOLS" && e.Value == "" {
				t.Errorf("%s: no pools", o.GetName())
			}
		}
	}
	want := map[string]string{"busybox": "", "dual-stack": "", "host-local": "", "database": "", "floating-a": "sidecar", "floating-b": "sidecar"}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("workloads and their modes (-want +got):\n%s", diff)
	}
}

// injected returns all samples as the webhook would change them.
func injected(t *testing.T) string {
	t.Helper()
	arguments := []string{"inject"}
	for _, file := range files(t) {
		arguments = append(arguments, "-f", file)
	}
	code, out := ipmgr(t, arguments...)
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	return out
}

// cluster applies objects as kubectl apply --server-side --dry-run=server does.
type cluster struct {
	client dynamic.Interface
	mapper meta.RESTMapper
}

func start(t *testing.T) cluster {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, err := range []error{
		plane.InstallNADs(t.Context()), plane.InstallCRD(t.Context(), config.ReservedCIDRs()),
		plane.CreateNamespace(t.Context(), "multus-samples", nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	groups, err := restmapper.GetAPIGroupResources(discovery.NewDiscoveryClientForConfigOrDie(plane.Config()))
	if err != nil {
		t.Fatal(err)
	}
	return cluster{client: dynamic.NewForConfigOrDie(plane.Config()), mapper: restmapper.NewDiscoveryRESTMapper(groups)}
}

func (c cluster) apply(t *testing.T, o *unstructured.Unstructured) error {
	t.Helper()
	data, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	kind := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	options := metav1.PatchOptions{FieldManager: "kubectl", FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}}
	resource := c.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		_, err = resource.Namespace(o.GetNamespace()).Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, options)
		return err
	}
	_, err = resource.Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, options)
	return err
}

func TestARealAPIServerAcceptsTheSamples(t *testing.T) {
	c := start(t)
	for _, file := range files(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects(t, string(data)) {
			if err := c.apply(t, &o); err != nil {
				t.Errorf("%s: %s %s: %v", filepath.Base(file), o.GetKind(), o.GetName(), err)
			}
		}
	}
	for _, o := range objects(t, injected(t)) {
		if err := c.apply(t, &o); err != nil {
			t.Errorf("injected: %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	// The test can fail: a field that Kubernetes does not know is refused.
	odd := objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd, namespace: multus-samples}\ndatum: {}\n")
	if err := c.apply(t, &odd[0]); err == nil {
		t.Error("an unknown field was accepted")
	}
}
