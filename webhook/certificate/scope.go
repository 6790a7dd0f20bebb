package certificate

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"path"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// configurationKinds are those of webhook configurations.
func configurationKinds() []schema.GroupVersionKind {
	group := schema.GroupVersion{Group: "admissionregistration.k8s.io", Version: "v1"}
	return []schema.GroupVersionKind{group.WithKind("MutatingWebhookConfiguration"), group.WithKind("ValidatingWebhookConfiguration")}
}

// scope is the manager as the rotator sees it. It limits what the rotator reads,
// and keeps an authority that it would replace for no reason.
//
// The manager does not run the rotator's own loop. That reads the certificate
// from files, which a kubelet brings up to two minutes late, and ends the process
// where there are none, or no Secret.
type scope struct {
	manager.Manager
	config *rest.Config
	scheme *runtime.Scheme
	mapper meta.RESTMapper
	client client.Client

	cache   cache.Cache          // of Secret and configurations
	rotator reconcile.Reconciler // its controller
}

func newScope(m manager.Manager, c *Managed) (*scope, error) {
	s := &scope{Manager: m, config: rest.CopyConfig(m.GetConfig()), scheme: runtime.NewScheme()}
	s.scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Secret{}, &corev1.SecretList{})
	metav1.AddToGroupVersion(s.scheme, corev1.SchemeGroupVersion)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	for _, kind := range configurationKinds() {
		mapper.Add(kind, meta.RESTScopeRoot)
	}
	s.mapper = mapper
	names := map[string]string{
		"secrets": c.settings.Secret, "mutatingwebhookconfigurations": c.settings.Configuration, "validatingwebhookconfigurations": c.settings.Configuration,
	}
	s.config.Wrap(func(next http.RoundTripper) http.RoundTripper { return byName{next, names} })
	writes, err := client.New(s.config, client.Options{Scheme: s.scheme, Mapper: s.mapper})
	if err != nil {
		return nil, fmt.Errorf("building the Kubernetes client: %w", err)
	}
	s.client = keeper{writes, c}
	return s, nil
}

// GetConfig reads the objects of the webhook alone.
func (s *scope) GetConfig() *rest.Config { return s.config }

// GetScheme knows Secrets.
func (s *scope) GetScheme() *runtime.Scheme { return s.scheme }

// GetRESTMapper knows Secrets and webhook configurations.
func (s *scope) GetRESTMapper() meta.RESTMapper { return s.mapper }

// GetClient keeps the authority.
func (s *scope) GetClient() client.Client { return s.client }

// Add has the manager run the rotator's cache and controller.
func (s *scope) Add(r manager.Runnable) error {
	switch r := r.(type) {
	case *rotator.CertRotator:
		return nil
	case cache.Cache:
		s.cache = r
	case reconcile.Reconciler:
		s.rotator = r
	}
	return s.Manager.Add(r)
}

// byName limits lists and watches to the one object of each resource that the
// rotator maintains: the webhook has no right to read others, and needs no
// memory for them.
type byName struct {
	next  http.RoundTripper
	names map[string]string // by resource
}

// RoundTrip implements http.RoundTripper.
func (b byName) RoundTrip(r *http.Request) (*http.Response, error) {
	if name, listed := b.names[path.Base(r.URL.Path)]; listed && r.Method == http.MethodGet {
		r = r.Clone(r.Context())
		query := r.URL.Query()
		query.Set("fieldSelector", fields.OneTermEqualSelector("metadata.name", name).String())
		r.URL.RawQuery = query.Encode()
	}
	return b.next.RoundTrip(r)
}

// keeper puts back an authority that is still good when the rotator is about to
// replace it, because someone emptied the Secret: API servers would not trust the
// new one for a moment.
type keeper struct {
	client.Client
	certificate *Managed
}

// Update implements client.Writer.
func (k keeper) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	secret, ok := object.(*corev1.Secret)
	held := k.certificate.held.Load()
	lost := ok && held != nil && k.certificate.lasts(*held) && !bytes.Equal((*held)[authorityFile], secret.Data[authorityFile])
	if lost {
		secret.Data = maps.Clone(*held)
	}
	err := k.Client.Update(ctx, object, options...)
	if lost && err == nil {
		k.certificate.log.Warn("authority put back into the Secret, which lacked it", keyCertificate, k.certificate.settings.key().String())
	}
	return err
}
