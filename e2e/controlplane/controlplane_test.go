package controlplane_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
)

func start(t *testing.T, o controlplane.Options) *controlplane.ControlPlane {
	t.Helper()
	began := time.Now()
	o.Progress = os.Stderr // on a clean machine this builds the programs first
	cp, err := controlplane.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return cp
}

// children returns the command names of this process's children.
func children(t *testing.T) []string {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, list := range lists {
		pids, _ := os.ReadFile(list) // a thread may end meanwhile
		for pid := range strings.FieldsSeq(string(pids)) {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			names = append(names, strings.TrimSpace(string(name)))
		}
	}
	slices.Sort(names)
	return names
}

func TestControlPlaneAdmitsPodsAndLeavesNothing(t *testing.T) {
	// The clients of this test keep connections until the server is gone.
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	cp := start(t, controlplane.Options{})
	if diff := cmp.Diff([]string{"etcd", "kube-apiserver"}, children(t)); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	t.Run("a pod is admitted", func(t *testing.T) { admitsPod(t, cp) })
	t.Run("a NAD is stored", func(t *testing.T) { storesNAD(t, cp) })
	t.Run("a user without rights is refused", func(t *testing.T) { refusesStranger(t, cp) })
	if err := cp.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if _, err := os.Stat(cp.Dir()); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", cp.Dir(), err)
	}
}

func clients(t *testing.T, cp *controlplane.ControlPlane) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func testPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "upf", Namespace: "core"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "upf:1"}}},
	}
}

func admitsPod(t *testing.T, cp *controlplane.ControlPlane) {
	t.Helper()
	labels := map[string]string{"multus-ipmgr.io/inject": "enabled"}
	if err := cp.CreateNamespace(t.Context(), "core", labels); err != nil {
		t.Fatal(err)
	}
	pod, err := clients(t, cp).CoreV1().Pods("core").Create(t.Context(), testPod(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Spec.ServiceAccountName != "default" {
		t.Errorf("service account %q, want default", pod.Spec.ServiceAccountName)
	}
}

func storesNAD(t *testing.T, cp *controlplane.ControlPlane) {
	t.Helper()
	if err := cp.InstallNADs(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	nads := client.Resource(schema.GroupVersionResource{
		Group: "k8s.cni.cncf.io", Version: "v1", Resource: "network-attachment-definitions",
	}).Namespace("core")
	nad := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
		"metadata": map[string]any{"name": "net1"},
		"spec":     map[string]any{"config": `{"type":"ipvlan"}`},
	}}
	if _, err := nads.Create(t.Context(), nad, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	stored, err := nads.Get(t.Context(), "net1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(nad.Object["spec"], stored.Object["spec"]); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func refusesStranger(t *testing.T, cp *controlplane.ControlPlane) {
	t.Helper()
	config, err := cp.ConfigFor("stranger")
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Pods("core").List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("list pods: %v, want forbidden", err)
	}
}

func TestStartReportsAProgramThatEnds(t *testing.T) {
	_, err := controlplane.Start(t.Context(), controlplane.Options{
		Progress: os.Stderr, APIServerFlags: map[string]string{"no-such-flag": ""},
	})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("Start: %v, want kube-apiserver's own words", err)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := controlplane.Start(ctx, controlplane.Options{}); err == nil {
		t.Error("Start succeeded although its context had ended")
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func TestDeploymentMakesPodsWithAControllerManager(t *testing.T) {
	cp := start(t, controlplane.Options{ControllerManager: true})
	if err := cp.CreateNamespace(t.Context(), "core", nil); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "upf"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "upf"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: testPod().Spec},
		},
	}
	client := clients(t, cp)
	if _, err := client.AppsV1().Deployments("core").Create(t.Context(), deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods, err := client.CoreV1().Pods("core").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer pods.Stop()
	deadline := time.After(time.Minute)
	for made := map[string]bool{}; len(made) < 2; {
		select {
		case event := <-pods.ResultChan():
			if pod, ok := event.Object.(*corev1.Pod); ok {
				made[pod.Name] = true
			}
		case <-deadline:
			t.Fatalf("no pods after a minute; the controller manager's log is in %s", cp.Dir())
		}
	}
}
