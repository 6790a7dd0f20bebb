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
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/multus-ipmgr/multus-ipmgr/controller"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/chart/manifests"
	"github.com/multus-ipmgr/multus-ipmgr/webhook"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

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

func TestNoRoleHasWildcardsOrSecretsButItsOwn(t *testing.T) {
	for name, values := range cases {
		t.Run(name, func(t *testing.T) {
			list := render(t, values...)
			for name, role := range named(list, (*rbacv1.ClusterRole).GetName) {
				modest(t, name, role.Rules)
			}
			for name, role := range named(list, (*rbacv1.Role).GetName) {
				modest(t, name+" in its namespace", slices.DeleteFunc(role.Rules, ownSecret))
			}
		})
	}
}

// ownSecret is the rule by which the webhook keeps the certificates it makes.
func ownSecret(rule rbacv1.PolicyRule) bool {
	return cmp.Equal(rule, rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"multus-ipmgr-webhook-certificates"}, Verbs: []string{"list", "watch", "update"},
	})
}

func modest(t *testing.T, name string, rules []rbacv1.PolicyRule) {
	t.Helper()
	for _, rule := range rules {
		for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs) {
			if strings.Contains(word, "*") || word == "secrets" {
				t.Errorf("%s: %+v", name, rule)
			}
		}
	}
}

func TestManifestsOfConfigAreTheRenderedChart(t *testing.T) {
	program := os.Getenv("HELM")
	if program == "" {
		t.Skip("HELM names no helm program: run make chart-test, which builds one")
	}
	files, err := plainFiles(t.Context(), program, directory)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	err = filepath.WalkDir(plain, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if name, _ := filepath.Rel(plain, path); manifests.Made(data) {
			made[filepath.ToSlash(name)] = string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for name, data := range files {
		want[name] = string(data)
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("run make generate (-chart +config):\n%s", diff)
	}
}
