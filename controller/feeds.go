package controller

import (
	"log/slog"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/finding"
	"github.com/multus-ipmgr/multus-ipmgr/feed"
)

// How many objects are listed at a time: users choose how long NADs are, up to
// 1.5 MB each.
const (
	networkPage     = 10
	reservationPage = 50
)

// newFeeds fill the cache.
func newFeeds(log *slog.Logger) feed.Set {
	return feed.Set{
		feed.New(feed.Resource{
			Object: &v1alpha1.ReservedCIDR{}, Name: v1alpha1.GroupVersionResource().GroupResource(),
			Page: reservationPage, Reduce: cache.TransformStripManagedFields(),
		}, time.Now, log),
		feed.New(feed.Resource{
			Object: &nadv1.NetworkAttachmentDefinition{}, Name: schema.GroupResource{Group: nadv1.SchemeGroupVersion.Group, Resource: "network-attachment-definitions"},
			Page: networkPage, Reduce: finding.Strip,
		}, time.Now, log),
	}
}

// cached are the options of the cache that they fill.
func cached(feeds feed.Set) cache.Options {
	by := map[client.Object]cache.ByObject{}
	for _, f := range feeds {
		if object, ok := f.Object.(client.Object); ok {
			by[object] = cache.ByObject{Transform: f.Transform}
		}
	}
	return cache.Options{ByObject: by, NewInformer: feeds.Informer, DefaultWatchErrorHandler: feed.Silent}
}
