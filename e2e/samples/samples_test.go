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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

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
