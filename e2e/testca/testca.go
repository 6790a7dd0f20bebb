// Package testca makes certificate authorities, and what they sign, for tests,
// benches and the control planes of both.
package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
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

// lifetime is that of authorities, and of certificates that say nothing else.
const lifetime = 365 * 24 * time.Hour

// CA is a certificate authority.
type CA struct {
	Cert *x509.Certificate
	PEM  []byte // of Cert
	key  *ecdsa.PrivateKey
}

// New returns an authority of the name.
func New(name string) (*CA, error) {
	template := template(Request{Name: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	pair, err := sign(template, nil)
	if err != nil {
		return nil, err
	}
	return &CA{Cert: pair.TLS.Leaf, PEM: pair.PEM, key: pair.key}, nil
}

// Pool returns a pool of the authority alone.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Cert)
	return pool
}

// Request is what a certificate is to say. The zero value asks for one of a
// client without a name.
type Request struct {
	Name   string
	Groups []string // of a client
	// Hosts are the addresses and names of a server.
	Hosts  []string
	Serial int64     // default: the time
	Until  time.Time // default: a year from now
}

// Pair is a certificate and its key.
type Pair struct {
	PEM, KeyPEM []byte // the key as PKCS #8
	TLS         tls.Certificate
	key         *ecdsa.PrivateKey
}

// Issue signs a certificate for a new key.
func (c *CA) Issue(r Request) (Pair, error) { return sign(template(r), c) }

// Write leaves the pair in dir as tls.crt and tls.key, as a Secret has them.
func (p Pair) Write(dir string) error {
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.crt"), p.PEM, 0o600),
		os.WriteFile(filepath.Join(dir, "tls.key"), p.KeyPEM, 0o600),
	)
}

func template(r Request) *x509.Certificate {
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: r.Name, Organization: r.Groups}, SerialNumber: big.NewInt(r.Serial),
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: r.Until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if r.Serial == 0 {
		t.SerialNumber.SetInt64(time.Now().UnixNano())
	}
	if r.Until.IsZero() {
		t.NotAfter = time.Now().Add(lifetime)
	}
	for _, host := range r.Hosts {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}

// sign signs a template. Without an authority, it signs itself.
func sign(t *x509.Certificate, by *CA) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if by == nil {
		t.ExtKeyUsage = nil
		by = &CA{Cert: t, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, by.Cert, key.Public(), by.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the certificate of %s: %w", t.Subject, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	return Pair{
		PEM:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		TLS:    tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, key: key,
	}, err
}
