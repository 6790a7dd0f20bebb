package certificate

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const host = "multus-ipmgr-webhook.system.svc"

func settings() Settings {
	return Settings{
		Namespace: "system", Secret: "s", Configuration: "c", Names: []string{host},
		Duration: 3 * time.Hour, RenewBefore: time.Hour, Controller: "c",
	}
}

// replica is a Managed whose clock, cache and API server are the test's.
type replica struct {
	*Managed
	time time.Time
	ends time.Time // as it was said last
}

func newReplica() *replica {
	r := &replica{time: time.Now()}
	r.Managed = &Managed{
		settings: settings(), log: slog.New(slog.DiscardHandler),
		now: func() time.Time { return r.time }, serves: func(until time.Time) { r.ends = until },
	}
	return r
}

// content is a Secret's with an authority and a certificate of these lifetimes.
func content(t *testing.T, authority, certificate time.Duration, name string) map[string][]byte {
	t.Helper()
	maker, now := &rotator.CertRotator{CAName: authorityName, DNSName: name, ExtKeyUsages: servers()}, time.Now()
	ca, err := maker.CreateCACert(now.Add(-time.Hour), now.Add(authority))
	if err != nil {
		t.Fatal(err)
	}
	leaf, key, err := maker.CreateCertPEM(ca, now.Add(-time.Hour), now.Add(certificate))
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{authorityFile: ca.CertPEM, authorityKey: ca.KeyPEM, CertFile: leaf, KeyFile: key}
}

func TestACertificateIsServedIfClientsCanTrustIt(t *testing.T) {
	good, other := content(t, 9*time.Hour, 3*time.Hour, host), content(t, 9*time.Hour, 3*time.Hour, host)
	with := func(entries map[string][]byte) map[string][]byte {
		data := maps.Clone(good)
		maps.Copy(data, entries)
		return data
	}
	for name, data := range map[string]map[string][]byte{
		"an empty Secret":                    nil,
		"no certificate":                     with(map[string][]byte{CertFile: nil}),
		"half a certificate":                 with(map[string][]byte{CertFile: good[CertFile][:100]}),
		"the key of another certificate":     with(map[string][]byte{KeyFile: other[KeyFile]}),
		"a certificate of another authority": with(map[string][]byte{CertFile: other[CertFile], KeyFile: other[KeyFile]}),
		"an authority that is not PEM":       with(map[string][]byte{authorityFile: []byte("PEM")}),
		"a certificate of another server":    content(t, 9*time.Hour, 3*time.Hour, "other.example"),
		"a certificate that ended":           content(t, 9*time.Hour, -time.Minute, host),
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica()
			r.put(&corev1.Secret{Data: data})
			if _, err := r.Get(nil); err == nil || !r.ends.IsZero() {
				t.Errorf("it is served: error %v, end %s", err, r.ends)
			}
			r.put(&corev1.Secret{Data: good})
			r.put(&corev1.Secret{Data: data})
			pair, err := r.Get(nil)
			if err != nil || pair.Leaf.VerifyHostname(host) != nil || !r.ends.Equal(pair.Leaf.NotAfter) {
				t.Errorf("the last good one is not served: %v, end %s", err, r.ends)
			}
		})
	}
}

// recorder is an API server that takes what is written.
type recorder struct {
	client.Client
	got client.Object
}

func (r *recorder) Update(_ context.Context, object client.Object, _ ...client.UpdateOption) error {
	r.got = object
	return nil
}

func TestAnAuthorityIsReplacedWhenItIsDue(t *testing.T) {
	long, short, next := content(t, 9*time.Hour, 3*time.Hour, host), content(t, time.Minute, time.Minute, host), content(t, 9*time.Hour, 3*time.Hour, host)
	renewed := maps.Clone(long)
	renewed[CertFile], renewed[KeyFile] = next[CertFile], next[KeyFile]
	keyless := maps.Clone(long)
	delete(keyless, authorityKey)
	for name, c := range map[string]struct {
		held, written, want map[string][]byte
	}{
		"a replica that has none writes its first":       {nil, next, next},
		"one that is lost is put back":                   {long, next, long},
		"one at its end is replaced":                     {short, next, next},
		"one without its key is replaced":                {keyless, next, next},
		"a certificate is renewed below it":              {long, renewed, renewed},
		"what it has is written as it is, also a broken": {long, keyless, keyless},
	} {
		t.Run(name, func(t *testing.T) {
			r, api := newReplica(), &recorder{}
			r.put(&corev1.Secret{Data: c.held})
			if err := (keeper{api, r.Managed}).Update(t.Context(), &corev1.Secret{Data: c.written}); err != nil {
				t.Fatal(err)
			}
			got, ok := api.got.(*corev1.Secret)
			if !ok || !maps.EqualFunc(got.Data, c.want, bytes.Equal) {
				t.Error("other content was written")
			}
		})
	}
	r, api := newReplica(), &recorder{}
	r.put(&corev1.Secret{Data: long})
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := (keeper{api, r.Managed}).Update(t.Context(), configuration); err != nil || api.got != configuration {
		t.Errorf("a configuration: %v, %v", api.got, err)
	}
}

func TestOnlyOwnObjectsAreRead(t *testing.T) {
	for sent, want := range map[string]string{
		"GET /api/v1/namespaces/system/secrets?watch=true":                                  "fieldSelector=metadata.name%3Ds&watch=true",
		"GET /api/v1/namespaces/system/secrets?fieldSelector=metadata.name%3Dother":         "fieldSelector=metadata.name%3Ds",
		"GET /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?limit=500": "fieldSelector=metadata.name%3Dc&limit=500",
		"PUT /api/v1/namespaces/system/secrets/s?fieldManager=m":                            "fieldManager=m",
		"PUT /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/c?a=b":     "a=b",
	} {
		method, url, _ := strings.Cut(sent, " ")
		request, err := http.NewRequestWithContext(t.Context(), method, "http://api"+url, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := byName{next: echo{}, names: map[string]string{"secrets": "s", "mutatingwebhookconfigurations": "c"}}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Request.URL.RawQuery; got != want {
			t.Errorf("%s: query %q, want %q", sent, got, want)
		}
		if request.URL.String() != "http://api"+url {
			t.Errorf("the caller's request is now %s", request.URL)
		}
	}
}

// echo answers with the request.
type echo struct{}

func (echo) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{Request: r, Body: http.NoBody}, nil
}

// configurations are a cache with the caBundles of webhooks, by kind.
type configurations struct {
	cache.Cache
	bundles map[string][][]byte
}

func (c configurations) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	o, ok := object.(*unstructured.Unstructured)
	bundles, found := c.bundles[object.GetObjectKind().GroupVersionKind().Kind]
	if !ok || !found || key.Name != "c" {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	hooks := []any{}
	for _, bundle := range bundles {
		hooks = append(hooks, map[string]any{"clientConfig": map[string]any{"caBundle": base64.StdEncoding.EncodeToString(bundle)}})
	}
	return unstructured.SetNestedSlice(o.Object, hooks, "webhooks")
}

func TestAReplicaIsReadyWhenItsCertificateIsTrusted(t *testing.T) {
	data, other := content(t, 9*time.Hour, 3*time.Hour, host), content(t, 9*time.Hour, 3*time.Hour, host)
	ours, foreign := data[authorityFile], other[authorityFile]
	const mutating, validating = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
	for name, c := range map[string]struct {
		data    map[string][]byte
		bundles map[string][][]byte
		later   time.Duration
		want    string // empty: ready
	}{
		"all webhooks trust it":   {data, map[string][][]byte{mutating: {ours, ours}, validating: {ours}}, 0, ""},
		"a configuration is gone": {data, map[string][][]byte{mutating: {ours}}, 0, ""},
		"no Secret":               {nil, nil, 0, "kubectl -n system create secret generic s"},
		"no caBundle yet":         {data, map[string][][]byte{mutating: {nil}}, 0, "not every webhook in " + mutating + " c"},
		"one caBundle is removed": {data, map[string][][]byte{mutating: {ours}, validating: {ours, nil}}, 0, "not every webhook in " + validating + " c"},
		"another caBundle":        {data, map[string][][]byte{mutating: {foreign}}, 0, "not every webhook in " + mutating + " c"},
		"the certificate ended":   {data, nil, 4 * time.Hour, "the serving certificate ended at"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica()
			r.cache = configurations{bundles: c.bundles}
			r.put(&corev1.Secret{Data: c.data})
			r.time = r.time.Add(c.later)
			err := r.Ready()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("ready: %v, want %q", err, c.want)
			}
		})
	}
}
