package nodes

import (
	"context"
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/kubelet"
)

// state is that of a pod's container.
type state struct {
	restarts int32
	ready    bool
	ended    bool
	exit     kubelet.Exit // once ended
}

// report writes the pod's status.
func (p *pod) report(ctx context.Context, s state) {
	patch, err := json.Marshal(map[string]any{"status": p.status(s, metav1.Now())})
	if err == nil {
		_, err = p.nodes.client.CoreV1().Pods(p.of.Namespace).Patch(
			ctx, p.of.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	p.nodes.complain(ctx, "report pod "+p.of.Name, err)
}

// shownReady reports whether the API server shows the pod as ready. It is not
// always what was reported: when heartbeats came late, the node lifecycle
// controller says that all pods of the node are not ready, and leaves it to the
// kubelet to say that they are.
func (p *pod) shownReady() bool {
	return slices.ContainsFunc(p.shown.Load().Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// status is what a kubelet reports.
func (p *pod) status(s state, now metav1.Time) corev1.PodStatus {
	container := corev1.ContainerStatus{
		Name: p.of.Spec.Containers[0].Name, Image: p.of.Spec.Containers[0].Image, ImageID: "sha256:0",
		ContainerID: "process://" + string(p.of.UID), RestartCount: s.restarts, Ready: s.ready, Started: new(!s.ended),
	}
	if s.ended {
		container.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: int32(s.exit.Code), Message: s.exit.Message, FinishedAt: now}
	} else {
		container.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
	}
	ready := corev1.ConditionFalse
	if s.ready {
		ready = corev1.ConditionTrue
	}
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: now}
	}
	return corev1.PodStatus{
		Phase: corev1.PodRunning, StartTime: &p.began, HostIP: hostIP, PodIP: p.address.String(),
		PodIPs: []corev1.PodIP{{IP: p.address.String()}},
		Conditions: []corev1.PodCondition{
			condition(corev1.PodInitialized, corev1.ConditionTrue),
			condition(corev1.ContainersReady, ready),
			condition(corev1.PodReady, ready),
		},
		ContainerStatuses: []corev1.ContainerStatus{container},
	}
}
