package cluster

import (
	"context"
	"fmt"
	"net/netip"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// AddNode makes a worker known, as its kubelet does.
func (c *Cluster) AddNode(ctx context.Context, name string, address netip.Addr) error {
	nodes := c.client.CoreV1().Nodes()
	node, err := nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create node %s: %w", name, err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address.String()}}
	_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

// Deploy creates a Deployment and returns it as it was stored.
func (c *Cluster) Deploy(ctx context.Context, manifest []byte) (*appsv1.Deployment, error) {
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(manifest, &deployment); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	stored, err := c.client.AppsV1().Deployments(deployment.Namespace).Create(ctx, &deployment, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create Deployment %s: %w", deployment.Name, err)
	}
	return stored, nil
}

// CreatePod creates one pod from a Deployment's template, as its ReplicaSet
// does, and returns what the API server made of it. With dryRun
// (metav1.DryRunAll) nothing is stored.
func (c *Cluster) CreatePod(ctx context.Context, namespace string, from *appsv1.Deployment, dryRun ...string) (*corev1.Pod, error) {
	template := from.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName = from.Name + "-"
	created, err := c.client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: dryRun})
	if err != nil {
		return nil, fmt.Errorf("create a pod of Deployment %s: %w", from.Name, err)
	}
	return created, nil
}

// Bind puts a pod on a worker, as the scheduler does.
func (c *Cluster) Bind(ctx context.Context, pod *corev1.Pod, node string) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	if err := c.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("bind pod %s to %s: %w", pod.Name, node, err)
	}
	return nil
}

// Report tells a pod's addresses, as the kubelet does once the network is set
// up, and returns the pod as it is then.
func (c *Cluster) Report(ctx context.Context, pod *corev1.Pod, host, address netip.Addr) (*corev1.Pod, error) {
	pods := c.client.CoreV1().Pods(pod.Namespace)
	now, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	now.Status.HostIP, now.Status.HostIPs = host.String(), []corev1.HostIP{{IP: host.String()}}
	now.Status.PodIP, now.Status.PodIPs = address.String(), []corev1.PodIP{{IP: address.String()}}
	if now, err = pods.UpdateStatus(ctx, now, metav1.UpdateOptions{}); err != nil {
		return nil, fmt.Errorf("report the addresses of pod %s: %w", pod.Name, err)
	}
	return now, nil
}
