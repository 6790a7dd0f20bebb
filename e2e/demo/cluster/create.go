package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

// NAD is a NetworkAttachmentDefinition.
type NAD struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Config string `json:"config"`
	} `json:"spec"`
}

// Denied is what the webhook says of an object that it refuses.
type Denied struct{ Message string }

// Error is the sentence that kubectl prints.
func (d *Denied) Error() string { return "admission webhook denied the request: " + d.Message }

// CreateNAD creates a network, or returns a *Denied.
func (c *Cluster) CreateNAD(ctx context.Context, n *NAD) error {
	if _, err := c.review(ctx, review.NADPath, n.Namespace, n, schemaOf(n.TypeMeta)); err != nil {
		return fmt.Errorf("create NetworkAttachmentDefinition %s: %w", n.Name, err)
	}
	network := nad.Read(nad.Definition{Namespace: n.Namespace, Name: n.Name, Labels: n.Labels, Annotations: n.Annotations, Config: n.Spec.Config})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nads[network.Object] = network
	c.ranges.Put(network)
	return nil
}

// CreatePod creates a pod, whose name it makes of GenerateName, and returns
// what admission made of it, or a *Denied. As the webhook's configuration asks,
// it is shown pods of namespaces that opted in, and no others.
func (c *Cluster) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	created := pod.DeepCopy()
	if created.Name == "" {
		created.Name = created.GenerateName + rand.String(5)
	}
	created.UID = types.UID(rand.String(16))
	ns, err := c.Namespace(ctx, created.Namespace, true)
	if err != nil {
		return nil, fmt.Errorf("create pod %s: %w", created.Name, err)
	}
	if ns.Labels[inject.InjectLabel] != inject.Enabled {
		return created, nil
	}
	patch, err := c.review(ctx, review.PodPath, created.Namespace, created, metav1.GroupVersionKind{Version: "v1", Kind: "Pod"})
	if err == nil {
		created, err = apply(created, patch)
	}
	if err != nil {
		return nil, fmt.Errorf("create pod %s: %w", pod.GenerateName+pod.Name, err)
	}
	return created, nil
}

// apply applies a JSON patch to a pod.
func apply(pod *corev1.Pod, patch []byte) (*corev1.Pod, error) {
	if len(patch) == 0 {
		return pod, nil
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	if text, err = operations.Apply(text); err != nil {
		return nil, err
	}
	patched := &corev1.Pod{}
	return patched, json.Unmarshal(text, patched)
}

func schemaOf(t metav1.TypeMeta) metav1.GroupVersionKind {
	kind := t.GroupVersionKind()
	return metav1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind}
}

// review asks the webhook about an object that is to be created, and returns
// the patch of its answer.
func (c *Cluster) review(ctx context.Context, path, namespace string, object any, kind metav1.GroupVersionKind) ([]byte, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	question, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: types.UID(rand.String(16)), Kind: kind, Namespace: namespace, Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: raw},
		},
	})
	if err != nil {
		return nil, err
	}
	text, err := c.ask(ctx, path, question)
	if err != nil {
		return nil, err
	}
	var answered admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &answered); err != nil {
		return nil, err
	}
	switch answer := answered.Response; {
	case answer == nil:
		return nil, errors.New("the webhook gave no answer")
	case !answer.Allowed && answer.Result != nil:
		return nil, &Denied{answer.Result.Message}
	case !answer.Allowed:
		return nil, &Denied{"it does not say why"}
	default:
		return answer.Patch, nil
	}
}
