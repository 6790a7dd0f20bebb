//go:build lab

package scenario_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// While no replica of the webhook answers, pods that need it wait, with a clear
// message, and no others.
func TestWhileTheWebhookIsDownOnlyPodsThatNeedItWait(t *testing.T) {
	const namespace = "outage"
	optedIn(t, namespace)
	optedOut(t, "elsewhere")
	for _, ns := range []string{namespace, "elsewhere"} {
		apply(t, ns, "static.yaml", "MASTER", "eth1")
	}
	scale(t, "multus-ipmgr-webhook", 0)
	t.Cleanup(func() { scale(t, "multus-ipmgr-webhook", 2) })

	const network = `[{"name": "static", "ips": ["10.10.1.126/24"]}]`
	err := attempt(t, namespace, network)
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "namespaces.multus-ipmgr.io"`) {
		t.Errorf("a pod that needs the IP manager: %v", err)
	}
	for namespace, network := range map[string]string{namespace: "", "elsewhere": network, "kube-system": network, testbed.System: network} {
		if err := attempt(t, namespace, network); err != nil {
			t.Errorf("a pod with network %q in %s: %v", network, namespace, err)
		}
	}
	start(t, box{namespace: namespace, name: "plain-1"})
	if pod := ready(t, namespace, "plain-1"); len(pod.Networks) != 0 {
		t.Errorf("%s has %v", pod.Name, pod.Networks)
	}
	scale(t, "multus-ipmgr-webhook", 2)
	if err := attempt(t, namespace, network); err != nil {
		t.Errorf("with the webhook back: %v", err)
	}
}

// attempt asks the API server whether it would take a pod with the networks.
func attempt(t *testing.T, namespace, networks string) error {
	t.Helper()
	no, yes := false, true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "attempt"},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{Name: "c", Image: "i", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
		},
	}
	if networks != "" {
		pod.Annotations = map[string]string{"k8s.v1.cni.cncf.io/networks": networks}
	}
	_, err := kube(t).CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// scale waits until a Deployment of multus-ipmgr has as many ready pods.
func scale(t *testing.T, deployment string, replicas int32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), podTimeout)
	defer cancel()
	deployments := kube(t).AppsV1().Deployments(testbed.System)
	d, err := deployments.GetScale(ctx, deployment, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.Spec.Replicas = replicas
	if _, err := deployments.UpdateScale(ctx, deployment, d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	within(ctx, t, deployment+" is scaled", func(ctx context.Context) error {
		now, err := deployments.Get(ctx, deployment, metav1.GetOptions{})
		if err != nil {
			return err
		}
		// Pods that go are not counted there, and serve until they are gone.
		pods, err := kube(t).CoreV1().Pods(testbed.System).List(ctx, metav1.ListOptions{
			LabelSelector: metav1.FormatLabelSelector(now.Spec.Selector),
		})
		if err == nil && (now.Status.ReadyReplicas != replicas || len(pods.Items) != int(replicas)) {
			err = fmt.Errorf("%d pods, %d ready", len(pods.Items), now.Status.ReadyReplicas)
		}
		return err
	})
}
