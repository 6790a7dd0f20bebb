package certificate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// errConflict is the answer to a change of what someone else has changed.
var errConflict = errors.New("someone else was faster")

// secret is the content of the Secret at one version.
type secret struct {
	version string
	data    map[string][]byte
}

// configuration is what of a webhook configuration matters at one version.
type configuration struct {
	resource      schema.GroupVersionResource
	name, version string
	bundles       [][]byte // the caBundle of each webhook
}

// cluster is what Managed asks of the API server.
type cluster interface {
	// secret reads the Secret, which must exist.
	secret(ctx context.Context) (secret, error)
	// update replaces the Secret's content. It fails with errConflict where it
	// has another version.
	update(ctx context.Context, s secret) error
	// configurations reads those that exist.
	configurations(ctx context.Context) ([]configuration, error)
	// announce replaces the caBundles of a configuration, and returns what it
	// then is. It fails with errConflict where it has another version.
	announce(ctx context.Context, c configuration) (configuration, error)
	// follow tells of changes until ctx ends.
	follow(ctx context.Context, changed chan<- struct{})
}

// apiServer is a cluster.
type apiServer struct {
	client            dynamic.Interface
	log               *slog.Logger
	namespace, name   string // of the Secret
	configurationName string
}

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// registrations are the resources of webhook configurations.
func registrations() []schema.GroupVersionResource {
	const group, version = "admissionregistration.k8s.io", "v1"
	return []schema.GroupVersionResource{
		{Group: group, Version: version, Resource: "mutatingwebhookconfigurations"},
		{Group: group, Version: version, Resource: "validatingwebhookconfigurations"},
	}
}

func (a *apiServer) secret(ctx context.Context) (secret, error) {
	object, err := a.client.Resource(secrets).Namespace(a.namespace).Get(ctx, a.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return secret{}, fmt.Errorf("the Secret %s/%s is gone; make it again, empty, and the replicas fill it: kubectl -n %[1]s create secret generic %[2]s", a.namespace, a.name)
	}
	if err != nil {
		return secret{}, fmt.Errorf("reading the Secret %s/%s: %w", a.namespace, a.name, err)
	}
	encoded, _, err := unstructured.NestedStringMap(object.Object, "data")
	if err != nil {
		return secret{}, fmt.Errorf("the Secret %s/%s: %w", a.namespace, a.name, err)
	}
	s := secret{version: object.GetResourceVersion(), data: map[string][]byte{}}
	for name, text := range encoded {
		if s.data[name], err = base64.StdEncoding.DecodeString(text); err != nil {
			return secret{}, fmt.Errorf("the Secret %s/%s: %s: %w", a.namespace, a.name, name, err)
		}
	}
	return s, nil
}

// update patches the data only, so that labels stay.
func (a *apiServer) update(ctx context.Context, s secret) error {
	patch := []operation{{"replace", "/metadata/resourceVersion", s.version}, {"add", "/data", maps.Collect(maps.All(s.data))}}
	_, err := a.patch(ctx, a.client.Resource(secrets).Namespace(a.namespace), a.name, patch)
	if err != nil {
		return fmt.Errorf("writing the Secret %s/%s: %w", a.namespace, a.name, err)
	}
	return nil
}

func (a *apiServer) configurations(ctx context.Context) ([]configuration, error) {
	var found []configuration
	for _, resource := range registrations() {
		object, err := a.client.Resource(resource).Get(ctx, a.configurationName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		var c configuration
		if err == nil {
			c, err = read(resource, object)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s %s: %w", resource.GroupResource(), a.configurationName, err)
		}
		found = append(found, c)
	}
	return found, nil
}

func read(resource schema.GroupVersionResource, object *unstructured.Unstructured) (configuration, error) {
	c := configuration{resource: resource, name: object.GetName(), version: object.GetResourceVersion()}
	hooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
	for _, hook := range hooks {
		fields, _ := hook.(map[string]any)
		text, _, _ := unstructured.NestedString(fields, "clientConfig", "caBundle")
		bundle, _ := base64.StdEncoding.DecodeString(text) // what is no bundle is replaced
		c.bundles = append(c.bundles, bundle)
	}
	return c, err
}

func (a *apiServer) announce(ctx context.Context, c configuration) (configuration, error) {
	patch := []operation{{"replace", "/metadata/resourceVersion", c.version}}
	for i, bundle := range c.bundles {
		patch = append(patch, operation{"add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), bundle})
	}
	object, err := a.patch(ctx, a.client.Resource(c.resource), c.name, patch)
	if err == nil {
		c, err = read(c.resource, object)
	}
	if err != nil {
		return c, fmt.Errorf("writing caBundle of %s %s: %w", c.resource.GroupResource(), c.name, err)
	}
	return c, nil
}

func (a *apiServer) follow(ctx context.Context, changed chan<- struct{}) {
	var group sync.WaitGroup
	group.Go(func() { a.watch(ctx, a.client.Resource(secrets).Namespace(a.namespace), a.name, changed) })
	for _, resource := range registrations() {
		group.Go(func() { a.watch(ctx, a.client.Resource(resource), a.configurationName, changed) })
	}
	group.Wait()
}

// watch tells of changes of one object. A watch begins with the object as it
// is. That none can be had is no trouble: the object is read at intervals too.
func (a *apiServer) watch(ctx context.Context, client dynamic.ResourceInterface, name string, changed chan<- struct{}) {
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	for ; ctx.Err() == nil; wait(ctx, nil, retryInterval) {
		events, err := client.Watch(ctx, only)
		if err != nil {
			a.log.Debug("object not watched", keyObject, name, keyError, err)
			continue
		}
		for range events.ResultChan() { // until the API server ends it, or ctx
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
}

// operation is one of a JSON patch. Bytes are written in base64, as Kubernetes
// has them.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func (a *apiServer) patch(ctx context.Context, client dynamic.ResourceInterface, name string, operations []operation) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(operations)
	if err != nil {
		return nil, err
	}
	object, err := client.Patch(ctx, name, types.JSONPatchType, body, metav1.PatchOptions{})
	if apierrors.IsConflict(err) {
		return nil, fmt.Errorf("%w: %w", errConflict, err)
	}
	return object, err
}
