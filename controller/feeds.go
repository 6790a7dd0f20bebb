package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/controller/finding"
	"github.com/multus-ipmgr/multus-ipmgr/feed"
)

// feeds makes the informers of the cache, and knows how old each may be.
type feeds struct {
	lists rest.Interface

	mu    sync.Mutex // guards feeds
	feeds map[string]*feed.Feed
}

func newFeeds(config *rest.Config) (*feeds, error) {
	config = dynamic.ConfigFor(config)
	config.AcceptContentTypes, config.GroupVersion = runtime.ContentTypeJSON, &schema.GroupVersion{}
	config.APIPath = "/no-path" // none is relative to it
	lists, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("building the Kubernetes client: %w", err)
	}
	return &feeds{lists: lists, feeds: map[string]*feed.Feed{}}, nil
}

// informer is for cache.Options.
func (f *feeds) informer(source cache.ListerWatcher, object runtime.Object, resync time.Duration, indexers cache.Indexers) cache.SharedIndexInformer {
	from := cache.ToListerWatcherWithContext(source)
	if _, ok := object.(*nadv1.NetworkAttachmentDefinition); ok {
		from = &cache.ListWatch{ListWithContextFunc: f.networks, WatchFuncWithContext: from.WatchWithContext}
	}
	followed := f.add(object).Follow(from)
	return cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(followed, source), object, resync, indexers)
}

func (f *feeds) add(object runtime.Object) *feed.Feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := feed.New(time.Now)
	f.feeds[resourceOf(object)] = one
	return one
}

// resourceOf is the resource of what is cached, by the name in the API.
func resourceOf(object runtime.Object) string {
	switch object.(type) {
	case *nadv1.NetworkAttachmentDefinition:
		return "network-attachment-definitions"
	case *v1alpha1.ReservedCIDR:
		return "reservedcidrs"
	default:
		return fmt.Sprintf("%T", object)
	}
}

// networks lists NADs one by one, each reduced to what is kept: users choose
// how long they are.
func (f *feeds) networks(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	const path = "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions"
	return feed.List(ctx, f.lists, path, options, func(text []byte) (runtime.Object, error) {
		network := &nadv1.NetworkAttachmentDefinition{}
		if err := json.Unmarshal(text, network); err != nil {
			return nil, err
		}
		_, err := finding.Strip(network)
		return network, err
	})
}

// ages is how old each cache may be.
func (f *feeds) ages() map[string]time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	ages := make(map[string]time.Duration, len(f.feeds))
	for resource, one := range f.feeds {
		ages[resource] = one.Age()
	}
	return ages
}
