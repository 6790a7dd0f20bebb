package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
)

// injectedAnnotation tells the mode and the version that were injected.
const injectedAnnotation = "multus-ipmgr.io/injected"

// admitted shows a pod as it was admitted, and its twin in a namespace that
// did not opt in.
func (d *demo) admitted(ctx context.Context) error {
	if err := d.showPods(ctx); err != nil {
		return err
	}
	first := d.pods[0]
	d.tell.Say("kubectl get pod %s -o yaml, of spec.initContainers:", first.Name)
	if err := d.showInjected(first); err != nil {
		return err
	}
	twin, err := d.twin(ctx)
	if err != nil {
		return err
	}
	for _, pod := range d.pods {
		if err := injected(pod, twin, "init"); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	d.tell.Holds("both pods got this container, and nothing else about their containers changed")
	d.tell.Holds("a pod of the same template in namespace %s, which has no label, is untouched", twin.Namespace)
	return nil
}

func (d *demo) showPods(ctx context.Context) error {
	columns, rows, err := d.cluster.GetPods(ctx, appNamespace)
	if err != nil {
		return err
	}
	columns = append(columns, strings.ToUpper(injectedAnnotation))
	for i, row := range rows {
		at := slices.IndexFunc(d.pods, func(p *corev1.Pod) bool { return p.Name == row[0] })
		if at < 0 {
			return fmt.Errorf("the API server lists pod %s, which nobody created", row[0])
		}
		rows[i] = append(row, d.pods[at].Annotations[injectedAnnotation])
	}
	d.tell.Say("kubectl get pods -n %s (one annotation added):", appNamespace)
	d.tell.Table(columns, rows)
	return nil
}

func (d *demo) showInjected(pod *corev1.Pod) error {
	if len(pod.Spec.InitContainers) == 0 {
		return fmt.Errorf("pod %s has no init container: the webhook did not inject it; its log ends:\n%s", pod.Name, d.cluster.LogOfWebhook())
	}
	text, err := story.YAML(pod.Spec.InitContainers[0], "name", "image", "args", "env", "restartPolicy", "startupProbe")
	if err != nil {
		return err
	}
	d.tell.Show(text)
	return nil
}

// twin creates a pod of the same template where nobody opted in.
func (d *demo) twin(ctx context.Context) (*corev1.Pod, error) {
	const namespace = "elsewhere"
	if err := d.cluster.Apply(ctx, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}")); err != nil {
		return nil, err
	}
	twin, err := d.cluster.CreatePod(ctx, namespace, d.upf)
	if err != nil {
		return nil, err
	}
	if _, marked := twin.Annotations[injectedAnnotation]; marked || len(twin.Spec.InitContainers) > 0 {
		return nil, fmt.Errorf("pod %s of namespace %s, which did not opt in, was changed", twin.Name, namespace)
	}
	return twin, nil
}

// injected verifies that a pod has our container first, in this mode, and else
// the containers of its twin.
func injected(pod, twin *corev1.Pod, mode string) error {
	if len(pod.Spec.InitContainers) != 1 || pod.Spec.InitContainers[0].Name != container {
		return fmt.Errorf("its init containers are not just %s", container)
	}
	if got := pod.Spec.InitContainers[0].Args; !slices.Equal(got, []string{mode}) {
		return fmt.Errorf("arguments %q, want %s", got, mode)
	}
	if got := pod.Annotations[injectedAnnotation]; !strings.HasPrefix(got, mode+" ") {
		return fmt.Errorf("annotation %s is %q, want %s and a version", injectedAnnotation, got, mode)
	}
	if !equality.Semantic.DeepEqual(withoutToken(pod.Spec.Containers), withoutToken(twin.Spec.Containers)) {
		return errors.New("its application containers were changed")
	}
	return nil
}

// withoutToken drops the API server's own mount, which has a random name.
func withoutToken(containers []corev1.Container) []corev1.Container {
	var out []corev1.Container
	for _, c := range containers {
		c.VolumeMounts = slices.DeleteFunc(slices.Clone(c.VolumeMounts), func(m corev1.VolumeMount) bool {
			return strings.HasPrefix(m.Name, "kube-api-access-")
		})
		out = append(out, c)
	}
	return out
}
