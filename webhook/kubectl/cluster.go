package kubectl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// clusterTimeout bounds all reads of a command together.
const clusterTimeout = 30 * time.Second

// errNoCluster says that no kubeconfig names a cluster.
var errNoCluster = errors.New("no cluster is configured")

// clusterOptions say which cluster is asked, and as whom: by kubectl's own
// flags.
type clusterOptions struct {
	config *genericclioptions.ConfigFlags
}

func (o *clusterOptions) declare(cmd *cobra.Command) {
	o.config = genericclioptions.NewConfigFlags(false)
	o.config.Namespace = nil // see files
	o.config.CacheDir = nil  // nothing is discovered
	o.config.AddFlags(cmd.Flags())
	completeBy(cmd, "context", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		config, err := o.config.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return slices.Sorted(maps.Keys(config.Contexts)), cobra.ShellCompDirectiveNoFileComp
	})
}

// named reports whether a cluster was asked for.
func (o *clusterOptions) named() bool {
	c := o.config
	return *c.KubeConfig != "" || *c.Context != "" || *c.ClusterName != "" || *c.APIServer != ""
}

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
	networks, err := list(ctx, client, schema.GroupVersionResource{Group: groupNAD, Version: "v1", Resource: "network-attachment-definitions"}, networkOf)
	return reservations, networks, err
}

func (o *clusterOptions) client() (dynamic.Interface, error) {
	if err := o.configured(); err != nil {
		return nil, err
	}
	config, err := o.config.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("building the Kubernetes client: %w", err)
	}
	return client, nil
}

// configured returns errNoCluster if nothing says which cluster to ask, where
// kubectl asks localhost:8080.
func (o *clusterOptions) configured() error {
	config, err := o.config.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if config.CurrentContext != "" || o.named() {
		return nil
	}
	if _, err := rest.InClusterConfig(); err != nil { // not in a pod that may ask its own cluster
		return errNoCluster
	}
	return nil
}

// list reads all objects of a resource, page by page.
func list[T any](ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource, convert func(*unstructured.Unstructured) (T, error)) ([]T, error) {
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		page, err := client.Resource(resource).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("reading %s from the cluster (give --reserved to do without it): %w", resource.Resource, err)
		}
		return page, nil
	})
	var all []T
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(item runtime.Object) error {
		object, ok := item.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("%s of the cluster: a list holds a %T", resource.Resource, item)
		}
		converted, err := convert(object)
		if err != nil {
			return fmt.Errorf("%s %s of the cluster: %w", resource.Resource, object.GetName(), err)
		}
		all = append(all, converted)
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil, nil // the cluster does not know the resource
	}
	return all, err
}

func reservationOf(u *unstructured.Unstructured) (nad.Reservation, error) {
	raw, err := u.MarshalJSON()
	if err != nil {
		return nad.Reservation{}, fmt.Errorf("cannot be read: %w", err)
	}
	return parseReservedCIDR(raw)
}

func networkOf(u *unstructured.Unstructured) (nad.Network, error) {
	raw, err := u.MarshalJSON()
	if err != nil {
		return nad.Network{}, fmt.Errorf("cannot be read: %w", err)
	}
	return parseNAD(u.GetNamespace(), u.GetName(), raw)
}
