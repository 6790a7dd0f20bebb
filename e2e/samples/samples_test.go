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
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
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

// kustomization is the list of the samples.
type kustomization struct {
	APIVersion  string `json:"apiVersion"`
	Kind        string `json:"kind"`
	SortOptions struct {
		Order string `json:"order"`
	} `json:"sortOptions"`
	Resources []string `json:"resources"`
}

func readKustomization(t *testing.T) (list kustomization) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &list); err != nil { // a key may not be there twice
		t.Fatal(err)
	}
	return list
}

func TestTheListOfSamplesIsComplete(t *testing.T) {
	list := readKustomization(t)
	var names []string
	for _, file := range files(t) {
		names = append(names, filepath.Base(file))
	}
	slices.Sort(list.Resources)
	if diff := cmp.Diff(names, list.Resources); diff != "" {
		t.Errorf("samples (-files +kustomization):\n%s", diff)
	}
}

// inOrder returns all samples as kubectl apply -k sends them: in the order of
// the list, which is kustomize's only if the list says so.
func inOrder(t *testing.T) (all []unstructured.Unstructured) {
	t.Helper()
	list := readKustomization(t)
	if list.SortOptions.Order != "fifo" {
		t.Fatalf("kustomize sorts the samples by kind, workloads before networks: order %q, want fifo", list.SortOptions.Order)
	}
	for _, name := range list.Resources {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects(t, string(data))...)
	}
	return all
}

// A pod that is admitted before its network or the reservations exist lacks the
// pools and the zone that these would give it.
func TestNetworksAndReservationsComeBeforeTheirWorkloads(t *testing.T) {
	there, namespaces := map[string]bool{}, map[string]bool{}
	workloads, reservations := 0, 0
	for _, o := range inOrder(t) {
		switch o.GetKind() {
		case "NetworkAttachmentDefinition":
			there[o.GetNamespace()+"/"+o.GetName()] = true
		case "Namespace":
			namespaces[o.GetName()] = true
		case "ReservedCIDR":
			reservations++
			if workloads > 0 {
				t.Errorf("%s comes after workloads", o.GetName())
			}
		}
		pod, is := template(t, &o)
		if !is {
			continue
		}
		workloads++
		selections, err := nad.Selections(o.GetNamespace(), pod.Annotations[nad.NetworksAnnotation])
		if err != nil || len(selections) == 0 {
			t.Fatalf("%s: selections %v, error %v", o.GetName(), selections, err)
		}
		for _, s := range selections {
			if !there[s.Namespace+"/"+s.Name] || !namespaces[o.GetNamespace()] {
				t.Errorf("%s comes before its network %s or its namespace", o.GetName(), s.Name)
			}
		}
	}
	if workloads == 0 || reservations == 0 {
		t.Errorf("%d workloads and %d reservations", workloads, reservations)
	}
}

// keepalived ends at once where it cannot write its PID files, or finds some of
// a former start: they must be where each container begins without any.
func TestKeepalivedKeepsItsPIDFilesInItsContainer(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(dir, "floating.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	pods := 0
	for _, o := range objects(t, string(data)) {
		made, is := template(t, &o)
		if !is {
			continue
		}
		pods++
		c := made.Spec.Containers[0]
		for _, flag := range []string{"--pid=/keepalived.pid", "--vrrp_pid=/vrrp.pid"} {
			if !slices.Contains(c.Command, flag) {
				t.Errorf("%s: command %q lacks %s", o.GetName(), c.Command, flag)
			}
		}
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath != "/etc/keepalived" }) || strings.Contains(c.Image, "example") {
			t.Errorf("%s: image %s, volume mounts %+v", o.GetName(), c.Image, c.VolumeMounts)
		}
	}
	if pods != 2 {
		t.Errorf("%d pods, want 2", pods)
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
