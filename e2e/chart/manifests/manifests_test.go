package manifests_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/chart/manifests"
)

const rendered = `---
# Source: chart/templates/webhook/rbac.yaml
# Who it is.
kind: ServiceAccount
metadata:
  name: a
  labels:
    app.kubernetes.io/component: webhook
    app.kubernetes.io/instance: release
    app.kubernetes.io/version: v1
    app.kubernetes.io/managed-by: Helm
    helm.sh/chart: chart-1
---
# Source: chart/templates/servicemonitor.yaml
kind: ServiceMonitor
---
# Source: chart/templates/webhook/rbac.yaml
kind: ClusterRole
metadata:
  labels:
    app.kubernetes.io/component: webhook
---
# Source: chart/templates/webhook/certificate.yaml
apiVersion: cert-manager.io/v1
`

const header = "# Made of charts/multus-ipmgr by make generate; change it there.\n"

func TestObjectsAreSplitByComponent(t *testing.T) {
	files, err := manifests.Split(rendered, "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, data := range files {
		text, made := strings.CutPrefix(string(data), header)
		if !made || !manifests.Made(data) {
			t.Errorf("%s does not say where it comes from: %s", name, data)
		}
		got[name] = text
	}
	const list = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
	want := map[string]string{
		"webhook/rbac.yaml": "# Who it is.\nkind: ServiceAccount\nmetadata:\n  name: a\n  labels:\n    app.kubernetes.io/component: webhook\n    app.kubernetes.io/version: v1\n" +
			"---\nkind: ClusterRole\nmetadata:\n  labels:\n    app.kubernetes.io/component: webhook\n",
		"monitoring/servicemonitor.yaml":  "kind: ServiceMonitor\n",
		"cert-manager/certificate.yaml":   "apiVersion: cert-manager.io/v1\n",
		"webhook/kustomization.yaml":      list + "- rbac.yaml\n",
		"monitoring/kustomization.yaml":   list + "- servicemonitor.yaml\n",
		"cert-manager/kustomization.yaml": list + "- certificate.yaml\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestVariantIsAnotherWebhook(t *testing.T) {
	files, err := manifests.Split(rendered, "other")
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(files))
	if diff := cmp.Diff([]string{"other/kustomization.yaml", "other/rbac.yaml"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBePlacedIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		"---\n# Source: chart/templates/a.yaml\nkind: Secret\n": "templates/a.yaml has no label app.kubernetes.io/component",
		"": "renders nothing",
	} {
		if _, err := manifests.Split(text, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
