package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// build returns the objects of a directory of config, as kustomize puts them
// together.
func build(t *testing.T, dir string) []unstructured.Unstructured {
	t.Helper()
	program := os.Getenv("KUSTOMIZE")
	if program == "" {
		t.Skip("KUSTOMIZE names no kustomize program: run make chart-test, which builds one")
	}
	cmd := exec.CommandContext(t.Context(), program, "build", filepath.Join(plain, dir))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	var list []unstructured.Unstructured
	for document := range strings.SplitSeq(out.String(), "\n---\n") {
		var o unstructured.Unstructured
		if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
	return list
}

// names returns "Kind namespace/name" of objects, sorted.
func names(list []unstructured.Unstructured) []string {
	var all []string
	for i := range list {
		all = append(all, list[i].GetKind()+" "+list[i].GetNamespace()+"/"+list[i].GetName())
	}
	slices.Sort(all)
	return all
}

// chartObjects returns what helm installs, with the definitions, which stand
// apart in a chart.
func chartObjects(t *testing.T, arguments ...string) []unstructured.Unstructured {
	t.Helper()
	var list []unstructured.Unstructured
	for _, object := range render(t, append([]string{"--include-crds"}, arguments...)...) {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, unstructured.Unstructured{Object: fields})
	}
	return list
}

func TestKustomizeInstallsWhatHelmInstalls(t *testing.T) {
	want := names(chartObjects(t))
	want = append(want, "Namespace /"+namespace) // which helm makes itself
	slices.Sort(want)
	if diff := cmp.Diff(want, names(build(t, "default"))); diff != "" {
		t.Errorf("objects (-helm +kustomize):\n%s", diff)
	}
	own := append(names(chartObjects(t, "--set", "certificate.mode=selfManaged")), "Namespace /"+namespace)
	slices.Sort(own)
	if diff := cmp.Diff(own, names(build(t, "default-self-managed"))); diff != "" {
		t.Errorf("objects without cert-manager (-helm +kustomize):\n%s", diff)
	}
	monitored := chartObjects(t, "--set", "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true")
	all := append(names(build(t, "default")), names(build(t, "monitoring"))...)
	want = append(names(monitored), "Namespace /"+namespace)
	slices.Sort(all)
	slices.Sort(want)
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("objects with monitoring (-helm +kustomize):\n%s", diff)
	}
}

// Pods that are admitted before their network exists lack its pools and zone.
// e2e/samples holds which network is whose; here it is kustomize that sorts.
func TestKustomizePutsTheSamplesNetworksBeforeTheirWorkloads(t *testing.T) {
	list := build(t, "samples")
	at := func(kind, name string) int {
		i := slices.IndexFunc(list, func(o unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
		if i < 0 {
			t.Fatalf("there is no %s %s among %q", kind, name, names(list))
		}
		return i
	}
	for workload, network := range map[[2]string]string{
		{"Deployment", "busybox"}: "ipvlan-multus", {"Deployment", "host-local"}: "host-local", {"Deployment", "dual-stack"}: "dual-stack",
		{"StatefulSet", "database"}: "static", {"Deployment", "floating-a"}: "static",
	} {
		if at("NetworkAttachmentDefinition", network) > at(workload[0], workload[1]) {
			t.Errorf("%s comes before its network %s", workload[1], network)
		}
	}
	if at("ReservedCIDR", "samples-ipv4") > at("NetworkAttachmentDefinition", "static") {
		t.Error("networks come before the reservations that they are judged by")
	}
}

// apply sends objects as kubectl apply --server-side does. Those of
// cert-manager are left out: nothing in this cluster knows them.
func (c *cluster) apply(t *testing.T, list []unstructured.Unstructured) {
	t.Helper()
	for i := range list {
		o := &list[i]
		if strings.HasPrefix(o.GetAPIVersion(), "cert-manager.io/") {
			continue
		}
		data, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		programs.Within(t, moments, "apply "+o.GetKind()+" "+o.GetName(), func() error {
			// Anew each time: definitions come with the objects.
			groups, err := restmapper.GetAPIGroupResources(discovery.NewDiscoveryClientForConfigOrDie(c.Config()))
			if err != nil {
				return err
			}
			kind := o.GroupVersionKind()
			mapping, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(kind.GroupKind(), kind.Version)
			if err != nil {
				return err
			}
			resource := c.all.Resource(mapping.Resource)
			options := metav1.PatchOptions{FieldManager: "kubectl", FieldValidation: metav1.FieldValidationStrict}
			if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
				_, err = resource.Namespace(o.GetNamespace()).Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, options)
			} else {
				_, err = resource.Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, options)
			}
			return err
		})
	}
}

func TestManifestsInstallIntoARealAPIServer(t *testing.T) {
	for _, dir := range []string{"default", "default-self-managed"} {
		t.Run(dir, func(t *testing.T) { installs(t, build(t, dir)) })
	}
}

func installs(t *testing.T, list []unstructured.Unstructured) {
	t.Helper()
	c := startCluster(t)
	c.apply(t, list)
	var want []string
	for i := range list {
		if o := &list[i]; o.GetLabels()["app.kubernetes.io/component"] != "" && !strings.HasPrefix(o.GetAPIVersion(), "cert-manager.io/") {
			want = append(want, o.GetName())
		}
	}
	var got []string
	for _, name := range c.ours(t) {
		_, name, _ = strings.Cut(name, " ")
		got = append(got, name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("installed (-applied +found):\n%s", diff)
	}
	programs.Within(t, moments, "no replica runs", func() error { return c.waits(t) })
	c.rights(t)
}
