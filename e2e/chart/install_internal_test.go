package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// cluster is a real API server in which nothing runs.
type cluster struct {
	*controlplane.ControlPlane
	client kubernetes.Interface
	all    dynamic.Interface
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	if _, err := helm(t, "version"); err != nil { // skips where there is none
		t.Fatal(err)
	}
	cp, err := controlplane.Start(t.Context(), controlplane.Options{Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := &cluster{ControlPlane: cp, client: kubernetes.NewForConfigOrDie(cp.Config()), all: dynamic.NewForConfigOrDie(cp.Config())}
	if err := cp.InstallNADs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cp.CreateNamespace(t.Context(), "shop", map[string]string{"multus-ipmgr.io/inject": "enabled"}); err != nil {
		t.Fatal(err)
	}
	return c
}

// helm runs helm on the cluster and wants each of words in what it says.
func (c *cluster) helm(t *testing.T, arguments []string, words ...string) {
	t.Helper()
	said, err := helm(t, append(arguments, "--kubeconfig", c.Kubeconfig(), "--namespace", namespace)...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", arguments[0], err, said)
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("helm %s does not say %q:\n%s", arguments[0], word, said)
		}
	}
}

// release are the values of an installation with a certificate of its own.
func (c *cluster) release(t *testing.T, more ...string) []string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, c.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"multus-ipmgr", directory, "--set", "certificate.mode=secret,certificate.secretName=tls",
		"--set-file", "certificate.caBundle=" + ca,
		"--set", "reservedCIDRs[0].name=a,reservedCIDRs[0].cidr=10.10.1.64/26,reservedCIDRs[0].type=explicit",
	}, more...)
}

// start makes a pod in a namespace that opted in and deletes it again.
func (c *cluster) start(ctx context.Context, networks string) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod", Annotations: map[string]string{"k8s.v1.cni.cncf.io/networks": networks}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	pods := c.client.CoreV1().Pods("shop")
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return err
	}
	now := int64(0)
	return pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
}

// ours lists what carries the chart's name, as "resource name".
func (c *cluster) ours(t *testing.T) []string {
	t.Helper()
	names := []string{}
	for _, resource := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "secrets"}, {Version: "v1", Resource: "serviceaccounts"}, {Version: "v1", Resource: "services"},
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
		{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"},
		{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
		{Group: "multus-ipmgr.io", Version: "v1alpha1", Resource: "reservedcidrs"},
	} {
		list, err := c.all.Resource(resource).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=multus-ipmgr"})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			names = append(names, resource.Resource+" "+item.GetName())
		}
	}
	return names
}

// waits holds while a Multus pod is refused because no replica answers.
func (c *cluster) waits(t *testing.T) error {
	t.Helper()
	err := c.start(t.Context(), "net1")
	switch {
	case err == nil:
		return errors.New("a pod with networks was admitted")
	case !strings.Contains(err.Error(), "namespaces.multus-ipmgr.io"):
		return fmt.Errorf("a pod with networks was refused for another reason: %w", err)
	}
	return nil
}

func TestChartInstallsUpgradesAndLeavesNothingBehind(t *testing.T) {
	c := startCluster(t)
	if err := c.start(t.Context(), "net1"); err != nil {
		t.Fatalf("before the installation: %v", err)
	}
	c.helm(t, append([]string{"install", "--create-namespace"}, c.release(t)...),
		"kubectl -n "+namespace+" rollout status deployment/multus-ipmgr-webhook", "multus-ipmgr.io/inject=enabled", "kubectl get reservedcidrs")
	want := []string{
		"serviceaccounts multus-ipmgr-controller", "serviceaccounts multus-ipmgr-webhook", "services multus-ipmgr-webhook",
		"deployments multus-ipmgr-controller", "deployments multus-ipmgr-webhook",
		"poddisruptionbudgets multus-ipmgr-webhook",
		"networkpolicies multus-ipmgr-controller", "networkpolicies multus-ipmgr-webhook",
		"clusterroles multus-ipmgr-controller", "clusterroles multus-ipmgr-webhook",
		"clusterrolebindings multus-ipmgr-controller", "clusterrolebindings multus-ipmgr-webhook",
		"roles multus-ipmgr-controller", "rolebindings multus-ipmgr-controller",
		"mutatingwebhookconfigurations multus-ipmgr", "validatingwebhookconfigurations multus-ipmgr", "reservedcidrs a",
	}
	if diff := cmp.Diff(want, c.ours(t)); diff != "" {
		t.Errorf("installed (-want +got):\n%s", diff)
	}
	programs.Within(t, moments, "no replica runs", func() error { return c.waits(t) })
	if err := c.start(t.Context(), ""); err != nil {
		t.Errorf("a pod without networks: %v", err)
	}
	c.rights(t)

	c.helm(t, append([]string{"upgrade"}, c.release(t, "--set", "webhook.replicas=3,reservedCIDRs[0].availabilityZone=us-west-2a")...), "helm show crds")
	deployment, err := c.client.AppsV1().Deployments(namespace).Get(t.Context(), "multus-ipmgr-webhook", metav1.GetOptions{})
	if err != nil || *deployment.Spec.Replicas != 3 {
		t.Errorf("upgraded to %v, error %v", deployment.Spec, err)
	}

	c.helm(t, []string{"uninstall", "multus-ipmgr"})
	if diff := cmp.Diff([]string{}, c.ours(t)); diff != "" {
		t.Errorf("left behind (-want +got):\n%s", diff)
	}
	programs.Within(t, moments, "uninstalled", func() error { return c.start(t.Context(), "net1") })
}

// rights holds what service accounts may do against what they need.
func (c *cluster) rights(t *testing.T) {
	t.Helper()
	for account, may := range map[string]map[string]bool{
		"multus-ipmgr-webhook":    {"namespaces": true, "reservedcidrs": true, "network-attachment-definitions": true, "secrets": false, "pods": false},
		"multus-ipmgr-controller": {"namespaces": false, "reservedcidrs": true, "network-attachment-definitions": true, "secrets": false, "pods": false},
	} {
		config, err := c.ConfigFor("system:serviceaccount:" + namespace + ":" + account)
		if err != nil {
			t.Fatal(err)
		}
		client := dynamic.NewForConfigOrDie(config)
		for name, want := range may {
			resource := schema.GroupVersionResource{Version: "v1", Resource: name}
			switch name {
			case "reservedcidrs":
				resource.Group, resource.Version = "multus-ipmgr.io", "v1alpha1"
			case "network-attachment-definitions":
				resource.Group = "k8s.cni.cncf.io"
			}
			_, err := client.Resource(resource).List(t.Context(), metav1.ListOptions{})
			if got := err == nil; got != want || !got && !apierrors.IsForbidden(err) {
				t.Errorf("%s lists %s: %v, want %v", account, name, err, want)
			}
		}
	}
}

// moments is how long a cluster may take to take something over, on a busy machine.
const moments = 30 * time.Second
