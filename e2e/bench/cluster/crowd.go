package cluster

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// creators is how many objects of a crowd are created at a time.
	creators = 16
	// largeConfig is nearly what etcd takes in one object, and far beyond what
	// the webhook reads of a NAD.
	largeConfig = 1_200_000
	// longConfig is nearly the longest that is checked (nad.MaxConfig).
	longConfig = 128<<10 - 300
)

// Crowd is how many objects a cluster has before the webhook starts.
type Crowd struct {
	Namespaces int // each with one ordinary NAD
	LargeNADs  int // each of 1.2 MB
	LongNADs   int // each nearly as long as is checked
}

// Gather creates the objects of a crowd.
func (c *Cluster) Gather(ctx context.Context, crowd Crowd) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range crowd.Namespaces {
		group.Go(func() error {
			// A /28 of its own each: no two networks hand out the same.
			network := fmt.Sprintf("10.%d.%d.%d/28", 16+i/4096, i/16%256, i%16*16)
			config := fmt.Sprintf(`{"cniVersion": "0.3.1", "type": "ipvlan", "master": "eth1", "mode": "l2", "ipam": {"type": "whereabouts", "range": %q}}`, network)
			name := fmt.Sprintf("crowd-%d", i)
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
			if _, err := c.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
				return err
			}
			return c.createNAD(ctx, name, "net-a", config)
		})
	}
	for i := range crowd.LargeNADs {
		group.Go(func() error {
			return c.createNAD(ctx, metav1.NamespaceDefault, fmt.Sprintf("large-%d", i), `{"type": "ipvlan", "filler": "`+strings.Repeat("x", largeConfig)+`"}`)
		})
	}
	for i := range crowd.LongNADs {
		group.Go(func() error {
			config := fmt.Sprintf(`{"cniVersion": "0.3.1", "type": "ipvlan", "master": "eth1", "filler": %q, "ipam": {"type": "whereabouts", "range": "10.200.%d.%d/28"}}`,
				strings.Repeat("x", longConfig), i/16, i%16*16)
			return c.createNAD(ctx, metav1.NamespaceDefault, fmt.Sprintf("long-%d", i), config)
		})
	}
	return group.Wait()
}

func (c *Cluster) createNAD(ctx context.Context, namespace, name, config string) error {
	resource := schema.GroupVersionResource{Group: "k8s.cni.cncf.io", Version: "v1", Resource: "network-attachment-definitions"}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"config": config},
	}}
	_, err := c.objects.Resource(resource).Namespace(namespace).Create(ctx, object, metav1.CreateOptions{})
	return err
}
