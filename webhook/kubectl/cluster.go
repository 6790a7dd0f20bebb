package kubectl

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// clusterTimeout bounds all reads of a command together.
const clusterTimeout = 30 * time.Second

// pageSize is how many objects are asked for at once.
const pageSize = 500

// errNoCluster says that no kubeconfig names a cluster.
var errNoCluster = errors.New("no cluster is configured")

// clusterOptions say which cluster is asked.
type clusterOptions struct {
	kubeconfig, context string
}

func (o *clusterOptions) declare(flags *flag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster to ask (default: kubectl's)")
	flags.StringVar(&o.context, "context", "", "kubeconfig `context` of the cluster to ask (default: the current one)")
}

// named reports whether a cluster was asked for.
func (o *clusterOptions) named() bool { return o.kubeconfig != "" || o.context != "" }

// read returns the cluster's reservations and NADs. A cluster without the one
// or the other resource has none of it.
func (o *clusterOptions) read(ctx context.Context) ([]nad.Reservation, []nad.Network, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	client, err := o.client()
	if err != nil {
		return nil, nil, err
	}
	reservations, err := list(ctx, client, v1alpha1.GroupVersionResource(), reservationOf)
	if err != nil {
		return nil, nil, err
	}
	networks, err := list(ctx, client, schema.GroupVersionResource{Group: "k8s.cni.cncf.io", Version: "v1", Resource: "network-attachment-definitions"}, networkOf)
	return reservations, networks, err
}

func (o *clusterOptions) client() (dynamic.Interface, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errNoCluster
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("building the Kubernetes client: %w", err)
	}
	return client, nil
}

// list reads all objects of a resource, page by page.
func list[T any](ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource, convert func(unstructured.Unstructured) (T, error)) ([]T, error) {
	var all []T
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := client.Resource(resource).List(ctx, options)
		if apierrors.IsNotFound(err) {
			return nil, nil // the cluster does not know the resource
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s from the cluster (give --reserved to do without it): %w", resource.Resource, err)
		}
		for _, item := range page.Items {
			converted, err := convert(item)
			if err != nil {
				return nil, fmt.Errorf("%s %s of the cluster: %w", resource.Resource, item.GetName(), err)
			}
			all = append(all, converted)
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return all, nil
		}
	}
}

func reservationOf(u unstructured.Unstructured) (nad.Reservation, error) {
	raw, err := u.MarshalJSON()
	if err != nil {
		return nad.Reservation{}, fmt.Errorf("cannot be read: %w", err)
	}
	return parseReservedCIDR(raw)
}

func networkOf(u unstructured.Unstructured) (nad.Network, error) {
	raw, err := u.MarshalJSON()
	if err != nil {
		return nad.Network{}, fmt.Errorf("cannot be read: %w", err)
	}
	return parseNAD(u.GetNamespace(), u.GetName(), raw)
}
