package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

// pki is the certificate authority of one control plane, and its files.
type pki struct {
	*testca.CA
	dir string
}

// newPKI makes an authority, the API server's certificate and the key that
// signs service account tokens, and leaves them in dir. The server may be
// reached at further addresses.
func newPKI(dir string, addresses []net.IP) (*pki, error) {
	ca, err := testca.New("control plane")
	if err != nil {
		return nil, err
	}
	p := &pki{CA: ca, dir: dir}
	return p, p.writeServer(addresses)
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

// writeServer leaves the files that kube-apiserver reads.
func (p *pki) writeServer(addresses []net.IP) error {
	hosts := []string{"127.0.0.1", "10.96.0.1", "localhost", "kubernetes.default.svc", "kubernetes.default", "kubernetes"}
	for _, ip := range addresses {
		hosts = append(hosts, ip.String())
	}
	server, err := p.Issue(testca.Request{Name: "kube-apiserver", Hosts: hosts})
	if err != nil {
		return err
	}
	tokens, err := tokenKey()
	if err != nil {
		return err
	}
	var errs []error
	for name, content := range map[string][]byte{
		"ca.crt": p.PEM, "server.crt": server.PEM, "server.key": server.KeyPEM, "sa.key": tokens,
	} {
		errs = append(errs, os.WriteFile(p.path(name), content, 0o600))
	}
	return errors.Join(errs...)
}

// tokenKey returns the key that signs service account tokens. kube-apiserver
// reads its public half from this format only.
func tokenKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}
