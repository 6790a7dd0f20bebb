package testca_test

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

func issue(t *testing.T, r testca.Request) (*testca.CA, testca.Pair) {
	t.Helper()
	ca, err := testca.New("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return ca, pair
}

func TestAServerIsTrustedByItsAuthorityAlone(t *testing.T) {
	ca, pair := issue(t, testca.Request{Name: "server", Hosts: []string{"127.0.0.1", "2001:db8::1", "webhook.svc"}, Serial: 7})
	other, _ := issue(t, testca.Request{})
	dir := t.TempDir()
	if err := pair.Write(dir); err != nil {
		t.Fatal(err)
	}
	read, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	bundle := x509.NewCertPool()
	bundle.AppendCertsFromPEM(ca.PEM)
	for _, host := range []string{"127.0.0.1", "2001:db8::1", "webhook.svc"} {
		for _, roots := range []*x509.CertPool{ca.Pool(), bundle} {
			if _, err := read.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
	if _, err := read.Leaf.Verify(x509.VerifyOptions{Roots: other.Pool()}); err == nil {
		t.Error("another authority vouches for it")
	}
	if _, err := read.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: "elsewhere.svc"}); err == nil {
		t.Error("it is trusted for a name that it does not have")
	}
	if got := read.Leaf.SerialNumber.Int64(); got != 7 {
		t.Errorf("serial %d", got)
	}
}

func TestAClientHasItsNameAndGroups(t *testing.T) {
	ca, pair := issue(t, testca.Request{Name: "system:serviceaccount:a:b", Groups: []string{"system:masters"}})
	_, err := pair.TLS.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Error(err)
	}
	subject := pair.TLS.Leaf.Subject
	if diff := cmp.Diff([]string{"system:serviceaccount:a:b", "system:masters"}, append([]string{subject.CommonName}, subject.Organization...)); diff != "" {
		t.Errorf("subject (-want +got):\n%s", diff)
	}
}

func TestACertificateEndsWhenItIsToldTo(t *testing.T) {
	until := time.Now().Add(-time.Minute).Truncate(time.Second)
	ca, pair := issue(t, testca.Request{Hosts: []string{"a"}, Until: until})
	if got := pair.TLS.Leaf.NotAfter; !got.Equal(until) {
		t.Errorf("it ends at %s, want %s", got, until)
	}
	if _, err := pair.TLS.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool()}); err == nil {
		t.Error("it is trusted after its end")
	}
}
