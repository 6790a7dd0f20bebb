package controlplane

import (
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
// signs service account tokens, and leaves them in dir, under the names by which
// envtest's API server has them. The server may be reached at further addresses.
func newPKI(dir string, addresses []net.IP) (*pki, error) {
	ca, err := testca.New("control plane")
	if err != nil {
		return nil, err
	}
	p := &pki{CA: ca, dir: dir}
	hosts := []string{"127.0.0.1", "10.96.0.1", "localhost", "kubernetes.default.svc", "kubernetes.default", "kubernetes"}
	for _, ip := range addresses {
		hosts = append(hosts, ip.String())
	}
	return p, errors.Join(
		os.WriteFile(p.path("ca.crt"), p.PEM, 0o600),
		p.write("apiserver", testca.Request{Name: "kube-apiserver", Hosts: hosts}),
		p.write("sa-signer", testca.Request{Name: "service accounts"}),
	)
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

// write leaves a certificate and its key as NAME.crt and NAME.key.
func (p *pki) write(name string, r testca.Request) error {
	pair, err := p.Issue(r)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(p.path(name+".crt"), pair.PEM, 0o600), os.WriteFile(p.path(name+".key"), pair.KeyPEM, 0o600))
}
