package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/authorities"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

// systemBundle is where Debian keeps the roots that it trusts. Where it is
// missing, as many roots are made as Debian 12 has.
const (
	systemBundle = "/etc/ssl/certs/ca-certificates.crt"
	debianRoots  = 142
)

// bundles are files of the roots that a client may trust, each with the CA of
// the simulated EC2 at the end.
type bundles struct {
	image string // the roots of ipmgr's image
	whole string // the system's
	roots int    // the number of those in whole
}

// certificates makes a CA, a certificate for the server at addr, and the
// bundles by which clients know it.
func (b *bench) certificates(addr netip.Addr) (tls.Certificate, bundles, error) {
	ca, err := testca.New("bench")
	if err != nil {
		return tls.Certificate{}, bundles{}, err
	}
	pair, err := ca.Issue(testca.Request{Name: "ec2", Hosts: []string{addr.String()}})
	if err != nil {
		return tls.Certificate{}, bundles{}, err
	}
	whole, image, err := roots()
	if err != nil {
		return tls.Certificate{}, bundles{}, err
	}
	all := bundles{
		image: filepath.Join(b.dir, "image.pem"), whole: filepath.Join(b.dir, "whole.pem"),
		roots: bytes.Count(whole, []byte("-----BEGIN CERTIFICATE-----")),
	}
	return pair.TLS, all, errors.Join(
		os.WriteFile(all.image, append(image, ca.PEM...), 0o600),
		os.WriteFile(all.whole, append(whole, ca.PEM...), 0o600),
	)
}

// roots returns the system's roots, and those of them that ipmgr's image has.
func roots() (whole, image []byte, err error) {
	if whole, err = os.ReadFile(systemBundle); err == nil {
		image, err = authorities.Choose(whole, authorities.AWS())
		return whole, image, err
	}
	for i := range debianRoots {
		ca, err := testca.New(fmt.Sprintf("root %d", i))
		if err != nil {
			return nil, nil, err
		}
		whole = append(whole, ca.PEM...)
		if i < len(authorities.AWS()) {
			image = append(image, ca.PEM...)
		}
	}
	return whole, image, nil
}
