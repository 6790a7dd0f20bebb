//go:build lab

package scenario_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// A sidecar is there for its pod and no longer: a Job completes, a pod that is
// deleted goes when its application has gone, and the restricted Pod Security
// Standard, which the namespace enforces, is kept by what really runs.
func TestASidecarNeverHoldsUpItsPod(t *testing.T) {
	t.Parallel()
	const namespace = "sidecar"
	optedIn(t, namespace)
	refusesPrivileges(t, namespace)
	apply(t, namespace, "static.yaml", "MASTER", "eth1")
	peer := box{namespace: namespace, name: "peer-2", networks: static("static", dual(123)...), mode: "sidecar"}
	start(t, peer)
	pod := ready(t, namespace, peer.name)
	apply(t, namespace, "job.yaml", "NETWORKS", static("static", dual(124)...), "ADDRESS", pod.Networks["net1"][0].String())
	confined(t, pod.Worker)
	completes(t, namespace, "report")

	before, last := deleted(t, namespace, peer.name)
	sidecar := last.Status.InitContainerStatuses[0].State.Terminated
	switch {
	case sidecar == nil:
		t.Fatalf("the pod went with its sidecar in state %+v", last.Status.InitContainerStatuses[0].State)
	case sidecar.ExitCode != 0:
		t.Errorf("the sidecar ended with %d %s, want 0", sidecar.ExitCode, sidecar.Reason)
	case sidecar.FinishedAt.After(before.DeletionTimestamp.Time):
		t.Errorf("the sidecar ended at %s, after the application's grace, %s", sidecar.FinishedAt, before.DeletionTimestamp)
	}
	app := last.Status.ContainerStatuses[0].State.Terminated
	t.Logf("the sidecar ended %s after the application", sidecar.FinishedAt.Sub(app.FinishedAt.Time))
}

// refusesPrivileges shows that the namespace means it.
func refusesPrivileges(t *testing.T, namespace string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "root"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	_, err := kube(t).CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
		t.Errorf("a pod with privileges: %v", err)
	}
}

// confined looks at the sidecar's process from the worker.
func confined(t *testing.T, worker string) {
	t.Helper()
	const script = `for p in /proc/[0-9]*; do
		[ "$(tr '\0' ' ' <$p/cmdline 2>/dev/null)" = "/ipmgr sidecar " ] && cat $p/status && exit; done; exit 1`
	var out strings.Builder
	if err := bed.Run(t.Context(), worker, &out, "/bin/sh", "-c", script); err != nil {
		t.Fatalf("find the sidecar on %s: %v: %s", worker, err, out.String())
	}
	for _, want := range []string{
		"Uid:\t48713\t48713\t48713\t48713\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
		"NoNewPrivs:\t1\n", "Seccomp:\t2\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the sidecar's process has not %q:\n%s", want, out.String())
		}
	}
}

func completes(t *testing.T, namespace, job string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), podTimeout)
	defer cancel()
	within(ctx, t, "job "+job, func(ctx context.Context) error {
		j, err := kube(t).BatchV1().Jobs(namespace).Get(ctx, job, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range j.Status.Conditions {
			if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
				return nil
			}
			if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
				t.Fatalf("the job failed: %s", c.Message)
			}
		}
		return fmt.Errorf("not complete: %+v", j.Status)
	})
}

// deleted deletes a pod with the grace it asks for, and returns how it was when
// its deletion began, and when it was last seen.
func deleted(t *testing.T, namespace, name string) (before, last *corev1.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), emptyTimeout)
	defer cancel()
	pods := kube(t).CoreV1().Pods(namespace)
	seen, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Stop()
	if err := pods.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	for event := range seen.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok || pod.DeletionTimestamp == nil {
			continue
		}
		if before == nil {
			before = pod
		}
		last = pod
		if event.Type == watch.Deleted {
			return before, last
		}
	}
	t.Fatalf("%s is not gone in time", name)
	return nil, nil
}
