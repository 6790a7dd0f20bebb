package webhook

import (
	"crypto/x509"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

// authority is a certificate authority of one test.
type authority struct {
	*testca.CA
	pem []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	ca, err := testca.New("test authority")
	if err != nil {
		t.Fatal(err)
	}
	return &authority{CA: ca, pem: ca.PEM}
}

// issue writes tls.crt and tls.key of a server on loopback into dir.
func (a *authority) issue(t testing.TB, dir string, serial int64) {
	t.Helper()
	pair, err := a.Issue(testca.Request{Name: "webhook", Hosts: []string{"127.0.0.1"}, Serial: serial})
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Write(dir); err != nil {
		t.Fatal(err)
	}
}

func (a *authority) pool() *x509.CertPool { return a.Pool() }
