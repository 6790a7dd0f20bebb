package install_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/kubelet/nodes"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

var certificates = schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificates"}

// serving is the name of the webhook's Certificate, its Secret, its Service and
// its Deployment.
const serving = "multus-ipmgr-webhook"

// secret returns that of a Certificate.
func (c *cluster) secret(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	s, err := c.client.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// renew asks for a certificate as "cmctl renew" does and waits for it.
func (c *cluster) renew(t *testing.T, name string) {
	t.Helper()
	before := c.secret(t, name).Data["tls.crt"]
	api := c.all.Resource(certificates).Namespace(namespace)
	programs.Within(t, moments, "ask for the renewal of "+name, func() error {
		certificate, err := api.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(certificate.Object, "status", "conditions")
		if err != nil {
			return err
		}
		conditions = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "Certificate re-issuance manually triggered",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339), "observedGeneration": certificate.GetGeneration(),
		})
		if err := unstructured.SetNestedSlice(certificate.Object, conditions, "status", "conditions"); err != nil {
			return err
		}
		_, err = api.UpdateStatus(t.Context(), certificate, metav1.UpdateOptions{})
		return err
	})
	programs.Within(t, moments, "renewal of "+name, func() error {
		if bytes.Equal(before, c.secret(t, name).Data["tls.crt"]) {
			return errors.New("the certificate is still the same")
		}
		return nil
	})
}

// served waits until all replicas serve the certificate that cert-manager issued.
func (c *cluster) served(t *testing.T) {
	t.Helper()
	c.servedFrom(t, serving)
}

// servedFrom waits until all replicas serve a Secret's certificate.
func (c *cluster) servedFrom(t *testing.T, secret string) {
	t.Helper()
	programs.Within(t, moments, "all replicas serve the certificate", func() error {
		block, _ := pem.Decode(c.secret(t, secret).Data["tls.crt"])
		if block == nil {
			return errors.New("the Secret has no certificate")
		}
		pods := c.replicas(t)
		if len(pods) == 0 {
			return errors.New("no replica")
		}
		for _, p := range pods {
			leaf, err := served(t.Context(), p, c.bundle(t))
			if err != nil {
				return err
			}
			if !bytes.Equal(leaf.Raw, block.Bytes) {
				return fmt.Errorf("%s still serves %s", p.Name, leaf.SerialNumber)
			}
		}
		return nil
	})
}

// served returns the certificate of a replica, as the API server verifies it.
func served(ctx context.Context, p corev1.Pod, bundle []byte) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	address, err := netip.ParseAddr(p.Status.PodIP)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", nodes.Loopback(netip.AddrPortFrom(address, 9443)).String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	secured := tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: serving + "." + namespace + ".svc"})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured.ConnectionState().PeerCertificates[0], nil
}

// bundle returns the authority that the API server trusts to serve pods.
func (c *cluster) bundle(t *testing.T) []byte {
	t.Helper()
	configuration, err := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "multus-ipmgr", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return configuration.Webhooks[0].ClientConfig.CABundle
}

// replicas are the webhook's pods that are ready.
func (c *cluster) replicas(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := c.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=webhook"})
	if err != nil {
		t.Fatal(err)
	}
	var pods []corev1.Pod
	for _, p := range list.Items {
		for _, condition := range p.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
				pods = append(pods, p)
			}
		}
	}
	return pods
}
