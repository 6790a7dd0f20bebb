package kubelet

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// state is that of a pod's container.
type state struct {
	restarts int32
	ready    bool
	ended    bool
	exit     Exit // once ended
}

// report writes the pod's status and says whether that succeeded.
func (p *pod) report(ctx context.Context, s state) bool {
	patch, err := json.Marshal(map[string]any{"status": p.status(s, metav1.Now())})
	if err == nil {
		_, err = p.nodes.client.CoreV1().Pods(p.of.Namespace).Patch(
			ctx, p.of.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	p.nodes.complain(ctx, "report pod "+p.of.Name, err)
	return err == nil
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
