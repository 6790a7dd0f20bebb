// Package roots verifies servers against the system's root certificates
// without loading them all.
//
// crypto/x509 parses every root before the first handshake, and reads the
// usual bundle twice (the file, and the directory that holds it again). For a
// program that makes one call that is most of its CPU time and a third of its
// memory. Here the bundle is read at the first handshake, only the names in it
// are looked at, and only roots that the server's own chain names are parsed.
// What follows is crypto/x509's full verification, host name included.
package roots

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// rememberLimit bounds how many chains' roots are kept; a program talks to a
// handful of servers.
const rememberLimit = 8

// Store is where roots are looked for. It is safe for concurrent use.
type Store struct {
	files    []string // the first that exists counts
	dirs     []string // asked when the file has no fitting root
	required string   // set: the variable that named the file, which must then exist
	now      func() time.Time

	reading sync.Mutex // held while files are read, so that a second handshake need not

	mu    sync.Mutex
	known map[string][]*x509.Certificate // by the names that a chain asks for
}

// FromEnvironment returns the roots that AWS's and Go's settings name:
// AWS_CA_BUNDLE alone when it is set, else SSL_CERT_FILE and SSL_CERT_DIR,
// whose defaults are the bundles of the known Linux distributions. No file is
// read before the first handshake.
func FromEnvironment(getenv func(string) string, now func() time.Time) *Store {
	s := &Store{files: bundleFiles(), dirs: bundleDirs(), now: now, known: map[string][]*x509.Certificate{}}
	if bundle := getenv("AWS_CA_BUNDLE"); bundle != "" {
		s.files, s.dirs, s.required = []string{bundle}, nil, "AWS_CA_BUNDLE"
		return s
	}
	if file := getenv("SSL_CERT_FILE"); file != "" {
		s.files = []string{file}
	}
	if dirs := getenv("SSL_CERT_DIR"); dirs != "" {
		s.dirs = strings.Split(dirs, ":")
	}
	return s
}

// Config returns a client's TLS settings for one host, a DNS name or an IP
// address. An empty host means the name that the connection is made for, and
// then servers with IP addresses are refused.
func (s *Store) Config(host string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: host,
		// The documented way to verify with roots that are known only once the
		// server has shown its chain: VerifyConnection runs on every handshake,
		// resumed ones included, and nothing is sent before it returns nil.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does the whole verification
		VerifyConnection: func(state tls.ConnectionState) error {
			// A connection's state has no name when the host is an IP address.
			name := host
			if name == "" {
				name = state.ServerName
			}
			return s.Verify(state.PeerCertificates, name)
		},
	}
}

// Verify checks that chain, leaf first, leads to a root of the store and is
// valid for host now. The error is a *tls.CertificateVerificationError.
func (s *Store) Verify(chain []*x509.Certificate, host string) error {
	if err := s.verify(chain, host); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

func (s *Store) verify(chain []*x509.Certificate, host string) error {
	if len(chain) == 0 {
		return errors.New("the server showed no certificate")
	}
	if host == "" {
		return errors.New("there is no host name to verify the certificate for")
	}
	names, key := wanted(chain)
	if known := s.recall(key); known != nil && s.check(chain, host, known) == nil {
		return nil
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if known := s.recall(key); known != nil && s.check(chain, host, known) == nil {
		return nil
	}
	found, readErr := s.fromFile(names)
	err := s.check(chain, host, found)
	if err != nil && len(s.dirs) > 0 && isUnknownAuthority(err) {
		found = append(found, s.fromDirs(names)...)
		err = s.check(chain, host, found)
	}
	if err != nil && readErr != nil {
		return fmt.Errorf("%w (%w)", err, readErr)
	}
	if err != nil {
		return err
	}
	s.remember(key, found)
	return nil
}

// wanted returns the names under which a root may complete chain: every issuer,
// and every subject too, because a store may hold a server's own certificate.
func wanted(chain []*x509.Certificate) (map[string]bool, string) {
	names := map[string]bool{}
	var key strings.Builder
	for _, certificate := range chain {
		names[string(certificate.RawIssuer)] = true
		names[string(certificate.RawSubject)] = true
		key.Write(certificate.RawIssuer)
		key.Write(certificate.RawSubject)
	}
	return names, key.String()
}

func (s *Store) check(chain []*x509.Certificate, host string, roots []*x509.Certificate) error {
	opts := x509.VerifyOptions{
		DNSName:       host,
		Roots:         pool(roots),
		Intermediates: pool(chain[1:]),
		CurrentTime:   s.now(),
	}
	_, err := chain[0].Verify(opts)
	return err
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, certificate := range certificates {
		p.AddCert(certificate)
	}
	return p
}

func isUnknownAuthority(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

func (s *Store) recall(key string) []*x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key]
}

func (s *Store) remember(key string, roots []*x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= rememberLimit {
		clear(s.known)
	}
	s.known[key] = roots
}

// errNoBundle says where roots were looked for.
func (s *Store) errNoBundle() error {
	if s.required != "" {
		return fmt.Errorf("%s names a file that cannot be read: %s", s.required, s.files[0])
	}
	return fmt.Errorf("no root certificates in %s", strings.Join(s.files, ", "))
}
