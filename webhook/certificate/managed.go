package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// authorityName is the common name of the authority.
	authorityName = "multus-ipmgr-ca"
	// authorityLifetime is ten years: a new authority is the one change that
	// admission notices.
	authorityLifetime = 10 * 365 * 24 * time.Hour
	// authorityFile is the Secret's entry with the authority, authorityKey that
	// with its key. The certificate's are CertFile and KeyFile.
	authorityFile = "ca.crt"
	authorityKey  = "ca.key"
	// trustTimeout bounds a look into the cache of webhook configurations.
	trustTimeout = 500 * time.Millisecond
)

// Settings of a certificate that the webhook issues itself.
type Settings struct {
	Namespace     string        // of the Secret
	Secret        string        // which the replicas share; it must exist, and may be empty
	Configuration string        // name of the webhook configurations that get the authority
	Names         []string      // DNS names of the server
	Duration      time.Duration // how long a certificate is valid
	RenewBefore   time.Duration // how long before its end the next one is issued
	Controller    string        // name of the rotator's controller, in metrics; a process has one of a name
}

// Check says what cannot work.
func (s Settings) Check() error {
	switch {
	case s.Namespace == "":
		return errors.New("the namespace of the Secret is not known: set POD_NAMESPACE")
	case s.RenewBefore <= 0 || s.Duration <= s.RenewBefore:
		return fmt.Errorf("want renew-before < duration, and have %s, %s", s.RenewBefore, s.Duration)
	}
	for _, name := range s.Names {
		if _, err := netip.ParseAddr(name); err == nil || len(validation.IsDNS1123Subdomain(name)) > 0 {
			return fmt.Errorf("%q is not a DNS name", name)
		}
	}
	return nil
}

func (s Settings) key() client.ObjectKey {
	return client.ObjectKey{Namespace: s.Namespace, Name: s.Secret}
}

// checkInterval is how often the certificate's age is looked at: twice a day if
// it is renewed 30 days before its end.
func (s Settings) checkInterval() time.Duration { return max(time.Second, s.RenewBefore/60) }

// lacking says what to do about a Secret that is not there.
func (s Settings) lacking() error {
	return fmt.Errorf("if the Secret %s/%s does not exist, create it, empty, and the webhook fills it: kubectl -n %[1]s create secret generic %[2]s", s.Namespace, s.Secret)
}

// Managed is a certificate that cert-controller's rotator issues and renews, in
// each replica: in one Secret, below one authority that it writes into the
// webhook configurations. Replicas that write the same at the same time conflict,
// and all but one read again; so they need no leader, and each knows for itself
// when it can be called.
//
// Managed serves what the Secret holds as soon as it holds it. It runs all of the
// rotator but its loop, see scope.
type Managed struct {
	settings Settings
	now      func() time.Time
	log      *slog.Logger
	serves   func(until time.Time)

	cache   cache.Cache // the rotator's
	rotator reconcile.Reconciler
	held    atomic.Pointer[map[string][]byte] // the Secret's content when its authority was last good
	shown   atomic.Pointer[served]
}

// served is a certificate and the authority that clients need to trust.
type served struct {
	tls.Certificate
	authority []byte
}

// NewManaged returns a certificate as settings say, which must be right, and has
// the manager run the rotator. It calls serves with the end of each certificate
// that it shows from then on.
func NewManaged(settings Settings, m manager.Manager, now func() time.Time, log *slog.Logger, serves func(until time.Time)) (*Managed, error) {
	c := &Managed{settings: settings, now: now, log: log, serves: serves}
	scope, err := newScope(m, c)
	if err != nil {
		return nil, err
	}
	err = rotator.AddRotator(scope, &rotator.CertRotator{
		SecretKey: settings.key(), CertName: CertFile, KeyName: KeyFile,
		CAName: authorityName, CAOrganization: "multus-ipmgr",
		DNSName: settings.Names[0], ExtraDNSNames: settings.Names[1:],
		CaCertDuration: authorityLifetime, ServerCertDuration: settings.Duration, LookaheadInterval: settings.RenewBefore,
		Webhooks: []rotator.WebhookInfo{
			{Name: settings.Configuration, Type: rotator.Mutating}, {Name: settings.Configuration, Type: rotator.Validating},
		},
		ExtKeyUsages: servers(), ControllerName: settings.Controller, FieldOwner: "multus-ipmgr-webhook",
	})
	if err == nil && (scope.cache == nil || scope.rotator == nil) {
		err = errors.New("the rotator has no cache, or no controller")
	}
	if err != nil {
		return nil, fmt.Errorf("preparing to issue certificates: %w", err)
	}
	c.cache, c.rotator = scope.cache, scope.rotator
	return c, nil
}

// NeedLeaderElection tells the manager that every replica needs a certificate.
func (*Managed) NeedLeaderElection() bool { return false }

// Start keeps the certificate up to date until ctx ends. What changes in the
// cluster the rotator's controller notices, but not that time passes.
func (c *Managed) Start(ctx context.Context) error {
	if err := c.follow(ctx); err != nil {
		return fmt.Errorf("following the Secret of the serving certificate: %w", err)
	}
	ticker := time.NewTicker(c.settings.checkInterval())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := c.rotator.Reconcile(ctx, reconcile.Request{NamespacedName: c.settings.key()}); err != nil && ctx.Err() == nil {
			c.log.Error("serving certificate not checked", keyError, err)
		}
	}
}

// follow has what the Secret holds served.
func (c *Managed) follow(ctx context.Context) error {
	informer, err := c.cache.GetInformer(ctx, &corev1.Secret{}, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	gone := func(any) { c.log.Error("serving certificate's Secret is gone", keyError, c.settings.lacking()) }
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: c.put, UpdateFunc: func(_, object any) { c.put(object) }, DeleteFunc: gone,
	})
	if err == nil && c.cache.WaitForCacheSync(ctx) && apierrors.IsNotFound(c.cache.Get(ctx, c.settings.key(), &corev1.Secret{})) {
		gone(nil)
	}
	return err
}

// put serves what the Secret holds, if it is good. What is not, the rotator
// replaces, and until then the last one is served.
func (c *Managed) put(object any) {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return
	}
	data := secret.Data
	if c.lasts(data) {
		c.held.Store(&data)
	}
	_, err := rotator.ValidCert(data[authorityFile], data[CertFile], data[KeyFile], c.settings.Names[0], servers(), c.now())
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.X509KeyPair(data[CertFile], data[KeyFile])
	}
	if err != nil {
		c.log.Info("serving certificate in the Secret is not good", keyError, err)
		return
	}
	if last := c.shown.Swap(&served{pair, data[authorityFile]}); last == nil || !last.Leaf.Equal(pair.Leaf) {
		c.serves(pair.Leaf.NotAfter)
		c.log.Info("serving certificate loaded", keyCertificate, c.settings.key().String(), keyExpires, pair.Leaf.NotAfter)
	}
}

// servers is what a certificate is for.
func servers() *[]x509.ExtKeyUsage { return &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

// lasts reports whether the rotator would keep the authority in the Secret.
func (c *Managed) lasts(data map[string][]byte) bool {
	good, _ := rotator.ValidCert(data[authorityFile], data[authorityFile], data[authorityKey], authorityName, nil, c.now().Add(c.settings.RenewBefore))
	return good
}

// Get is for tls.Config's GetCertificate.
func (c *Managed) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s := c.shown.Load(); s != nil {
		return &s.Certificate, nil
	}
	return nil, errNone
}

// Ready says why the API server cannot call this replica now.
func (c *Managed) Ready() error {
	s := c.shown.Load()
	if s == nil {
		return fmt.Errorf("%w: %w", errNone, c.settings.lacking())
	}
	return errors.Join(current(&s.Certificate, c.now()), c.trusted(s.authority))
}

// trusted says which of the webhook configurations that exist lacks an authority.
func (c *Managed) trusted(authority []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), trustTimeout) //nolint:forbidigo // Probes have no context.
	defer cancel()
	for _, kind := range configurationKinds() {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(kind)
		err := c.cache.Get(ctx, client.ObjectKey{Name: c.settings.Configuration}, object)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s %s: %w", kind.Kind, c.settings.Configuration, err)
		}
		hooks, _, err := unstructured.NestedSlice(object.Object, "webhooks")
		if err != nil || slices.ContainsFunc(hooks, func(hook any) bool { return bundleOf(hook) != base64.StdEncoding.EncodeToString(authority) }) {
			return fmt.Errorf("not every webhook in %s %s has the authority of the serving certificate as caBundle", kind.Kind, c.settings.Configuration)
		}
	}
	return nil
}

// bundleOf is the caBundle of a webhook, in base64.
func bundleOf(hook any) string {
	fields, _ := hook.(map[string]any)
	bundle, _, _ := unstructured.NestedString(fields, "clientConfig", "caBundle")
	return bundle
}
