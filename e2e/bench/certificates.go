package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// systemBundle is where Debian keeps the roots that it trusts. Where it is
// missing, as many roots are made as Debian 12 has.
const (
	systemBundle = "/etc/ssl/certs/ca-certificates.crt"
	debianRoots  = 142
)

// certificates makes a CA, a certificate for the server at addr, and a bundle
// of the system's roots with the CA at the end.
func (b *bench) certificates(addr netip.Addr) (tls.Certificate, string, error) {
	ca, caKey, err := authority("bench")
	if err != nil {
		return tls.Certificate{}, "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ec2"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{addr.AsSlice()}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, "", err
	}
	roots, err := systemRoots()
	if err != nil {
		return tls.Certificate{}, "", err
	}
	bundle := filepath.Join(b.dir, "roots.pem")
	err = os.WriteFile(bundle, append(roots, encode(ca)...), 0o600)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, bundle, err
}

func systemRoots() ([]byte, error) {
	if roots, err := os.ReadFile(systemBundle); err == nil {
		return roots, nil
	}
	var roots []byte
	for i := range debianRoots {
		ca, _, err := authority(fmt.Sprintf("root %d", i))
		if err != nil {
			return nil, err
		}
		roots = append(roots, encode(ca)...)
	}
	return roots, nil
}

func authority(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

func encode(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
