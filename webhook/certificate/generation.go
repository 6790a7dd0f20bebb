package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"
)

// generation is a serving certificate below an authority of its own.
//
// The authority's key signs that one certificate and is thrown away. So nothing
// but a generation's end makes it unsafe to trust its authority, and old ones
// can stay where they are trusted until then, without anyone having to know
// which replica still serves what.
type generation struct {
	number    int
	chain     []byte // the serving certificate and its authority, in PEM
	key       []byte // of the serving certificate, in PEM
	authority []byte // DER
	pair      tls.Certificate
}

// always is the beginning of every generation: whoever trusts one was given it,
// so that a beginning has nothing to tell, and must not be in the future of a
// clock that is behind.
var always = time.Unix(0, 0)

// issue makes a generation.
func issue(number int, names []string, until time.Time) (generation, error) {
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of one multus-ipmgr webhook certificate"}, NotBefore: always, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return generation{}, fmt.Errorf("making a key: %w", err)
	}
	above, err := sign(authority, authority, signer, signer)
	if err != nil {
		return generation{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return generation{}, fmt.Errorf("making a key: %w", err)
	}
	leaf, err := sign(serving(names, until), above, key, signer)
	if err != nil {
		return generation{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return generation{}, fmt.Errorf("encoding a key: %w", err)
	}
	return parse(number, append(certificatePEM(leaf.Raw), certificatePEM(above.Raw)...), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// serving is what a server with these names, or addresses, shows.
func serving(names []string, until time.Time) *x509.Certificate {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: "multus-ipmgr webhook"}, NotBefore: always, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// parse reads a generation.
func parse(number int, chain, key []byte) (generation, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return generation{}, err
	}
	if len(pair.Certificate) != 2 {
		return generation{}, fmt.Errorf("%d certificates; want the serving one and its authority", len(pair.Certificate))
	}
	g := generation{number: number, chain: chain, key: key, authority: pair.Certificate[1]}
	above, err := x509.ParseCertificate(g.authority)
	if err != nil {
		return generation{}, err
	}
	if err := pair.Leaf.CheckSignatureFrom(above); err != nil {
		return generation{}, errors.Join(errors.New("the second certificate did not sign the first"), err)
	}
	pair.Certificate = pair.Certificate[:1] // clients have the authority
	g.pair = pair
	return g, nil
}

func (g generation) ends() time.Time { return g.pair.Leaf.NotAfter }

// covers reports whether a server with these names can show it.
func (g generation) covers(names []string) bool {
	for _, name := range names {
		if g.pair.Leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

func (g generation) same(other generation) bool { return bytes.Equal(g.authority, other.authority) }
