package install_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// issued is the Secret of replicas that issue their certificate.
const issued = "multus-ipmgr-webhook-certificates"

// selfManages changes to certificates of the webhook's own, which are renewed a
// quarter of a minute after they were issued. While the replicas are replaced, old
// and new ones do not agree on the authority: pods are refused, and none passes
// without the IP manager.
func (c *cluster) selfManages(t *testing.T) {
	t.Helper()
	l := c.load(t)
	c.helm(t, append([]string{"upgrade", "multus-ipmgr", current, "--set", "certificate.mode=selfManaged",
		"--set", "certificate.selfManaged.duration=60s,certificate.selfManaged.renewBefore=45s"}, c.values()...)...)
	l.refused(t)
	c.servedFrom(t, issued)
	c.admits(t, "multus-ipmgr/ipmgr:v0.1.0")
}

// refused stops the load and allows pods that were refused because the webhook
// could not be called.
func (l *load) refused(t *testing.T) {
	t.Helper()
	for _, f := range l.end(t) {
		if !strings.Contains(f.err.Error(), "failed calling webhook") {
			t.Errorf("%s: %v", f.at.Format(time.StampMilli), f.err)
		}
	}
}

func (c *cluster) renewsItself(t *testing.T) {
	t.Helper()
	l := c.load(t)
	authority := c.bundle(t)
	for range 2 {
		before := c.secret(t, issued).Data["tls.crt"]
		programs.Within(t, moments, "renewal", func() error {
			if bytes.Equal(before, c.secret(t, issued).Data["tls.crt"]) {
				return errors.New("the certificate is still the same")
			}
			return nil
		})
		c.servedFrom(t, issued)
	}
	if !bytes.Equal(authority, c.bundle(t)) {
		t.Error("the authority was renewed with the certificate")
	}
	l.none(t)
}

// losesSecret empties the Secret, and then deletes it, which a Helm upgrade
// makes again.
func (c *cluster) losesSecret(t *testing.T) {
	t.Helper()
	l := c.load(t)
	authority := c.bundle(t)
	c.patch(t, "secret", issued, `[{"op": "remove", "path": "/data"}]`)
	c.holds(t, authority)
	if err := c.client.CoreV1().Secrets(namespace).Delete(t.Context(), issued, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.helm(t, append([]string{"upgrade", "multus-ipmgr", current, "--reuse-values"}, c.values()...)...)
	c.holds(t, authority)
	c.servedFrom(t, issued)
	l.none(t)
}

// holds waits until the Secret holds an authority, which API servers trust.
func (c *cluster) holds(t *testing.T, authority []byte) {
	t.Helper()
	programs.Within(t, moments, "the authority is put back", func() error {
		if secret := c.secret(t, issued); !bytes.Equal(secret.Data["ca.crt"], authority) {
			return fmt.Errorf("the Secret has %d entries, and not the authority", len(secret.Data))
		}
		return nil
	})
	if !bytes.Equal(authority, c.bundle(t)) {
		t.Error("the API server trusts another authority")
	}
}

// losesBundle removes what API servers trust. Pods are refused until it is back.
func (c *cluster) losesBundle(t *testing.T) {
	t.Helper()
	l := c.load(t)
	authority := c.bundle(t)
	l.reach(t, 20)
	c.patch(t, "mutatingwebhookconfiguration", "multus-ipmgr", `[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]`)
	programs.Within(t, moments, "the authority is trusted again", func() error {
		if !bytes.Equal(authority, c.bundle(t)) {
			return errors.New("it is not in the configuration")
		}
		return nil
	})
	l.more(t, 50) // by then the API server knows
	l.refused(t)
	programs.Within(t, moments, "replicas are ready", func() error { return c.full(t) })
	after := c.load(t)
	after.reach(t, 100)
	after.none(t)
}

// patch changes an object by a JSON patch, as an administrator.
func (c *cluster) patch(t *testing.T, kind, name, operations string) {
	t.Helper()
	if _, err := c.run(t.Context(), "", "kubectl", "patch", kind, name, "--namespace", namespace, "--type", "json", "--patch", operations); err != nil {
		t.Fatal(err)
	}
}
