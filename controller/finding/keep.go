package finding

import (
	"context"
	"fmt"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// keptConfig is how many bytes spec.config of a NAD in the cache may have. Real
// ones have fewer; a longer one is read from the API server each time that it is
// checked, so that 10,000 NADs of any length fit into the container's memory.
const keptConfig = 4 << 10

// leftOut is the annotation in the cache of a NAD whose spec.config is to be
// read from the API server.
const leftOut = "multus-ipmgr.io/config-not-cached"

// readTimeout bounds one read past the cache.
const readTimeout = 10 * time.Second

// Strip reduces a NAD, before it is cached, to the parts that are needed, in a
// bounded size. It parses nothing, because the cache waits for it. It drops a
// configuration that is too long to be checked, because that has no findings.
func Strip(object any) (any, error) {
	o, ok := object.(*nadv1.NetworkAttachmentDefinition)
	if !ok {
		return object, nil
	}
	// The informer strips what the list has stripped already.
	dropped := o.Spec.Config == "" && o.Annotations[leftOut] != ""
	kept := metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
	if value, labelled := o.Labels[nad.ManagedLabel]; labelled {
		kept.Labels = map[string]string{nad.ManagedLabel: value}
	}
	if n := len(o.Spec.Config); n > keptConfig {
		o.Spec.Config = ""
		dropped = n <= nad.MaxConfig
	}
	if dropped {
		kept.Annotations = map[string]string{leftOut: "true"}
	}
	o.ObjectMeta = kept
	return o, nil
}

// cached returns a NAD from the cache, and whether its configuration was left
// out. The error is NotFound if there is no such NAD.
func (w *Watcher) cached(ctx context.Context, name types.NamespacedName) (o *nadv1.NetworkAttachmentDefinition, long bool, err error) {
	o = &nadv1.NetworkAttachmentDefinition{}
	if err := w.Client.Get(ctx, name, o); err != nil {
		return nil, false, fmt.Errorf("reading NAD %s: %w", name, err)
	}
	return o, o.Annotations[leftOut] != "", nil
}

// uncached returns a NAD from the API server. It asks for a list of one, as the
// controller may list NADs and needs no other right.
func (w *Watcher) uncached(ctx context.Context, name types.NamespacedName) (*nadv1.NetworkAttachmentDefinition, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var list nadv1.NetworkAttachmentDefinitionList
	err := w.Live.List(ctx, &list, client.InNamespace(name.Namespace), client.MatchingFields{metav1.ObjectNameField: name.Name})
	if err == nil && len(list.Items) == 0 {
		err = apierrors.NewNotFound(nadv1.Resource("network-attachment-definitions"), name.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading NAD %s from the API server: %w", name, err)
	}
	return &list.Items[0], nil
}
