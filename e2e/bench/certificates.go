package main

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
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
	ca, err := testca.New("bench")
	if err != nil {
		return tls.Certificate{}, "", err
	}
	pair, err := ca.Issue(testca.Request{Name: "ec2", Hosts: []string{addr.String()}})
	if err != nil {
		return tls.Certificate{}, "", err
	}
	roots, err := systemRoots()
	if err != nil {
		return tls.Certificate{}, "", err
	}
	bundle := filepath.Join(b.dir, "roots.pem")
	return pair.TLS, bundle, os.WriteFile(bundle, append(roots, ca.PEM...), 0o600)
}

func systemRoots() ([]byte, error) {
	if roots, err := os.ReadFile(systemBundle); err == nil {
		return roots, nil
	}
	var roots []byte
	for i := range debianRoots {
		ca, err := testca.New(fmt.Sprintf("root %d", i))
		if err != nil {
			return nil, err
		}
		roots = append(roots, ca.PEM...)
	}
	return roots, nil
}
