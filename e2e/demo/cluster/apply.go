package cluster

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// Apply creates the objects of a manifest. A namespace comes with its default
// service account, which a controller makes elsewhere.
func (c *Cluster) Apply(ctx context.Context, manifest []byte) error {
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
		if err := c.create(ctx, object); err != nil {
			return fmt.Errorf("create %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

func (c *Cluster) create(ctx context.Context, object *unstructured.Unstructured) error {
	if object.GetKind() == "Namespace" {
		return c.plane.CreateNamespace(ctx, object.GetName(), object.GetLabels())
	}
	// The plural that discovery would tell is this one for all our kinds.
	kind := object.GroupVersionKind()
	resource := kind.GroupVersion().WithResource(strings.ToLower(kind.Kind) + "s")
	if kind.Kind == "NetworkAttachmentDefinition" {
		resource.Resource = networks.Resource
	}
	_, err := c.objects.Resource(resource).Namespace(object.GetNamespace()).Create(ctx, object, metav1.CreateOptions{})
	return err
}

// networks is the resource of NetworkAttachmentDefinition.
var networks = schema.GroupVersionResource{Group: "k8s.cni.cncf.io", Version: "v1", Resource: "network-attachment-definitions"}

// Network returns the CNI configuration of a NetworkAttachmentDefinition.
func (c *Cluster) Network(ctx context.Context, namespace, name string) (string, error) {
	object, err := c.objects.Resource(networks).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	config, _, err := unstructured.NestedString(object.Object, "spec", "config")
	return config, err
}
