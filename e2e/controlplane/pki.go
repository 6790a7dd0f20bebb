package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pki is the certificate authority of one control plane. It knows nothing of
// Kubernetes but the names in its certificates.
type pki struct {
	dir string
	now time.Time
	ca  *x509.Certificate
	key crypto.Signer
	pem []byte // of the authority's certificate
}

// newPKI makes an authority, the API server's certificate and the key that
// signs service account tokens, and leaves them in dir. The server may be
// reached at further addresses.
func newPKI(dir string, now time.Time, addresses []net.IP) (*pki, error) {
	p := &pki{dir: dir, now: now}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := p.template(pkix.Name{CommonName: "control plane"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority: %w", err)
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	p.key, p.pem = key, block("CERTIFICATE", der)
	return p, p.writeServer(addresses)
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

// writeServer leaves the files that kube-apiserver reads.
func (p *pki) writeServer(addresses []net.IP) error {
	server := p.template(pkix.Name{CommonName: "kube-apiserver"})
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.IPAddresses = append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}, addresses...)
	server.DNSNames = []string{"localhost", "kubernetes.default.svc", "kubernetes.default", "kubernetes"}
	cert, key, err := p.sign(server)
	if err != nil {
		return err
	}
	_, tokens, err := newKey()
	if err != nil {
		return err
	}
	var errs []error
	for name, content := range map[string][]byte{
		"ca.crt": p.pem, "server.crt": cert, "server.key": key, "sa.key": tokens,
	} {
		errs = append(errs, os.WriteFile(p.path(name), content, 0o600))
	}
	return errors.Join(errs...)
}

// client returns the certificate and key of a user and its groups, in PEM.
func (p *pki) client(user string, groups ...string) (cert, key []byte, err error) {
	template := p.template(pkix.Name{CommonName: user, Organization: groups})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return p.sign(template)
}

func (p *pki) template(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{
		Subject: subject, SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore: p.now.Add(-time.Hour), NotAfter: p.now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func (p *pki) sign(template *x509.Certificate) (cert, key []byte, err error) {
	private, key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, private.Public(), p.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject, err)
	}
	return block("CERTIFICATE", der), key, nil
}

// newKey returns a private key, also as PEM.
func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	return key, block("EC PRIVATE KEY", der), err
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
