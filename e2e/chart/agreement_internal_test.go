package main

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/multus-ipmgr/multus-ipmgr/controller"
	"github.com/multus-ipmgr/multus-ipmgr/webhook"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// manifests reads the objects of config.
func manifests(t *testing.T) []runtime.Object {
	t.Helper()
	var list []runtime.Object
	for _, dir := range []string{"rbac", "webhook", "controller"} {
		files, err := filepath.Glob(filepath.Join("../../config", dir, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: files %q, error %v", dir, files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, objects(t, data)...)
		}
	}
	return list
}

// named returns the objects of a type by their names.
func named[T any](list []runtime.Object, name func(T) string) map[string]T {
	found := map[string]T{}
	for _, object := range list {
		if o, ok := object.(T); ok {
			found[name(o)] = o
		}
	}
	return found
}

// promises are the parts of the objects in which the chart's defaults and the
// manifests of config must agree.
func promises(list []runtime.Object) map[string]any {
	part := map[string]any{}
	for name, o := range named(list, (*admissionregistrationv1.MutatingWebhookConfiguration).GetName) {
		part["MutatingWebhookConfiguration "+name] = []any{o.Annotations, o.Webhooks}
	}
	for name, o := range named(list, (*admissionregistrationv1.ValidatingWebhookConfiguration).GetName) {
		part["ValidatingWebhookConfiguration "+name] = []any{o.Annotations, o.Webhooks}
	}
	for name, o := range named(list, (*rbacv1.ClusterRole).GetName) {
		part["ClusterRole "+name] = o.Rules
	}
	for name, o := range named(list, (*rbacv1.ClusterRoleBinding).GetName) {
		part["ClusterRoleBinding "+name] = []any{o.RoleRef, o.Subjects}
	}
	for name, o := range named(list, (*rbacv1.Role).GetName) {
		part["Role "+name] = []any{o.Namespace, o.Rules}
	}
	for name, o := range named(list, (*rbacv1.RoleBinding).GetName) {
		part["RoleBinding "+name] = []any{o.Namespace, o.RoleRef, o.Subjects}
	}
	for name, o := range named(list, (*corev1.ServiceAccount).GetName) {
		part["ServiceAccount "+name] = o.Annotations
	}
	for name, o := range named(list, (*corev1.Service).GetName) {
		part["Service "+name] = o.Spec
	}
	for name, o := range named(list, (*policyv1.PodDisruptionBudget).GetName) {
		part["PodDisruptionBudget "+name] = o.Spec
	}
	for name, o := range named(list, (*appsv1.Deployment).GetName) {
		part["Deployment "+name] = deployment(o)
	}
	return part
}

// deployment leaves out what the chart says more exactly: images, arguments
// and the spread over zones.
func deployment(o *appsv1.Deployment) appsv1.DeploymentSpec {
	spec := *o.Spec.DeepCopy()
	spec.Template.Labels = nil
	pod := &spec.Template.Spec
	pod.TopologySpreadConstraints = slices.DeleteFunc(pod.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
		return c.TopologyKey == corev1.LabelTopologyZone
	})
	for i := range pod.Containers {
		pod.Containers[i].Image, pod.Containers[i].Args = "", nil
	}
	return spec
}

func TestDefaultsAndManifestsOfConfigAgree(t *testing.T) {
	if diff := cmp.Diff(promises(manifests(t)), promises(render(t))); diff != "" {
		t.Errorf("config and chart (-config +chart):\n%s", diff)
	}
}

// arguments returns those of a Deployment's container.
func arguments(t *testing.T, list []runtime.Object, name string) []string {
	t.Helper()
	o := named(list, (*appsv1.Deployment).GetName)[name]
	if o == nil {
		t.Fatalf("no Deployment %s", name)
	}
	return o.Spec.Template.Spec.Containers[0].Args
}

func TestWebhookUnderstandsItsArguments(t *testing.T) {
	for name, values := range cases {
		t.Run(name, func(t *testing.T) {
			options, err := webhook.ParseOptions(arguments(t, render(t, values...), "multus-ipmgr-webhook"), "v", namespace, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if name != "defaults" {
				return
			}
			want, err := webhook.ParseOptions([]string{"--image=multus-ipmgr/ipmgr:v0.1.0"}, "v", namespace, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, options, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
				t.Errorf("the chart's defaults are not the program's (-program +chart):\n%s", diff)
			}
		})
	}
}

func TestEveryValueReachesTheWebhook(t *testing.T) {
	got, err := webhook.ParseOptions(arguments(t, render(t, cases["everything"]...), "multus-ipmgr-webhook"), "v", namespace, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p := got.Policy
	if p.Image != "registry.example/mirror/multus-ipmgr/ipmgr:v0.1.0@sha256:"+strings.Repeat("2", 64) || p.PullPolicy != corev1.PullIfNotPresent ||
		p.Style != inject.Plain || p.Validation != "warn" || !p.FreeZones || got.LogLevel != slog.LevelDebug ||
		p.WebIdentity.RoleARN != "arn:aws:iam::123456789012:role/ipmgr" || p.Settings.Timeout != time.Minute || p.Settings.Verify {
		t.Errorf("options %+v", got)
	}
	if cpu, limited := p.Resources.Limits[corev1.ResourceCPU]; limited || p.Resources.Requests.Cpu().String() != "5m" {
		t.Errorf("resources %+v, CPU limited to %s", p.Resources, &cpu)
	}
}

func TestControllerUnderstandsItsArguments(t *testing.T) {
	defaults, err := controller.ParseOptions(arguments(t, render(t), "multus-ipmgr-controller"), "v", namespace, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if s := defaults.Selection; s.TagKey != "multus-ipmgr.io/mirror" || s.TagValue != "true" || defaults.SyncInterval != time.Minute {
		t.Errorf("options %+v", defaults)
	}
	all, err := controller.ParseOptions(arguments(t, render(t, cases["everything"]...), "multus-ipmgr-controller"), "v", namespace, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"subnet-1", "subnet-2"}, all.Selection.IDs); diff != "" {
		t.Errorf("subnets (-want +got):\n%s", diff)
	}
}

func TestNoRoleHasWildcardsOrSecrets(t *testing.T) {
	list := render(t, cases["everything"]...)
	rules := map[string][]rbacv1.PolicyRule{}
	for name, role := range named(list, (*rbacv1.ClusterRole).GetName) {
		rules[name] = role.Rules
	}
	for name, role := range named(list, (*rbacv1.Role).GetName) {
		rules[name+" in its namespace"] = role.Rules
	}
	for name, rules := range rules {
		for _, rule := range rules {
			for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs) {
				if strings.Contains(word, "*") || word == "secrets" {
					t.Errorf("%s: %+v", name, rule)
				}
			}
		}
	}
}
