package roots

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// moment is when all handshakes of these tests take place.
var moment = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// authority is a certificate with its key.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Test"}},
		NotBefore:             moment.Add(-time.Hour),
		NotAfter:              moment.Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
}

func leafTemplate(names ...string) *x509.Certificate {
	leaf := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "server"},
		NotBefore:   moment.Add(-time.Hour),
		NotAfter:    moment.Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	return leaf
}

// sign makes a certificate for key; a nil issuer signs itself.
func sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey, issuer *authority) authority {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{t: t, cert: cert, key: key}
}

func newCA(t *testing.T, name string) authority {
	t.Helper()
	return sign(t, caTemplate(name), newKey(t), nil)
}

func (a authority) leaf(names ...string) authority {
	return sign(a.t, leafTemplate(names...), newKey(a.t), &a)
}

func (a authority) ca(name string) authority { return sign(a.t, caTemplate(name), newKey(a.t), &a) }

func encode(certs ...authority) []byte {
	var bundle []byte
	for _, c := range certs {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	return bundle
}

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// environment is a map that is read like the process's environment. Without a
// directory of its own a store would read the machine's.
func environment(variables map[string]string) func(string) string {
	return func(name string) string {
		if value, ok := variables[name]; ok || name != "SSL_CERT_DIR" {
			return value
		}
		return "/nonexistent"
	}
}

func newStore(variables map[string]string) *Store {
	return FromEnvironment(environment(variables), func() time.Time { return moment })
}

// handshake connects a client with the store's settings to a server with chain.
func handshake(t *testing.T, settings *tls.Config, chain ...authority) error {
	t.Helper()
	var shown tls.Certificate
	for _, c := range chain {
		shown.Certificate = append(shown.Certificate, c.cert.Raw)
	}
	shown.PrivateKey = chain[0].key
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		far, err := listener.Accept()
		if err != nil {
			return
		}
		defer far.Close()
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{shown}, MinVersion: tls.VersionTLS12})
		if server.HandshakeContext(t.Context()) == nil {
			server.Read(make([]byte, 1)) //nolint:errcheck // waits for the client to close
		}
	}()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = tls.Client(near, settings).HandshakeContext(t.Context())
	near.Close()
	<-done
	return err
}

func TestVerify(t *testing.T) {
	t.Parallel()
	const host = "ec2.us-west-2.amazonaws.com"
	root, other := newCA(t, "Root"), newCA(t, "Other")
	inner := root.ca("Intermediate")
	namesake := newCA(t, "Root")

	old, young := leafTemplate(host), leafTemplate(host)
	old.NotAfter, young.NotBefore = moment.Add(-time.Minute), moment.Add(time.Minute)
	client := leafTemplate(host)
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	notCA := caTemplate("No CA")
	notCA.IsCA = false
	impostor := sign(t, notCA, newKey(t), &root)

	// The same name and key, once self-signed (in the store or not), once
	// signed by an older root, as Amazon Root CA 1 is by Starfield.
	modern := newCA(t, "Modern")
	crossed := sign(t, caTemplate("Modern"), modern.key, &root)
	own := sign(t, leafTemplate(host), newKey(t), nil)
	onIP := root.leaf("127.0.0.1")

	tests := map[string]struct {
		bundle []authority
		host   string
		chain  []authority
		want   string // part of the error; empty for success
	}{
		"a chain to a root of the bundle":                        {[]authority{other, root}, host, []authority{inner.leaf(host), inner}, ""},
		"a leaf that the root signed itself":                     {[]authority{other, root}, host, []authority{root.leaf(host)}, ""},
		"an intermediate in the bundle completes the chain":      {[]authority{inner}, host, []authority{inner.leaf(host)}, ""},
		"a server's own certificate in the bundle":               {[]authority{own}, host, []authority{own}, ""},
		"a wildcard name":                                        {[]authority{root}, host, []authority{root.leaf("*.us-west-2.amazonaws.com")}, ""},
		"an IP address in the certificate":                       {[]authority{root}, "127.0.0.1", []authority{onIP}, ""},
		"the true root among namesakes":                          {[]authority{namesake, root}, host, []authority{root.leaf(host)}, ""},
		"cross-signed, only the old root is known":               {[]authority{root}, host, []authority{modern.leaf(host), crossed}, ""},
		"cross-signed, only the new root is known":               {[]authority{modern}, host, []authority{modern.leaf(host), crossed}, ""},
		"cross-signed, the new root is sent too":                 {[]authority{root}, host, []authority{modern.leaf(host), modern, crossed}, ""},
		"another name":                                           {[]authority{root}, host, []authority{root.leaf("ec2.eu-west-1.amazonaws.com")}, "not " + host},
		"another IP address":                                     {[]authority{root}, "127.0.0.2", []authority{onIP}, "not 127.0.0.2"},
		"a name where an IP address is wanted":                   {[]authority{root}, "127.0.0.1", []authority{root.leaf(host)}, "127.0.0.1"},
		"an IP address where a name is wanted":                   {[]authority{root}, host, []authority{onIP}, host},
		"an expired certificate":                                 {[]authority{root}, host, []authority{sign(t, old, newKey(t), &root)}, "expired"},
		"a certificate that is not valid yet":                    {[]authority{root}, host, []authority{sign(t, young, newKey(t), &root)}, "not yet valid"},
		"a certificate for clients":                              {[]authority{root}, host, []authority{sign(t, client, newKey(t), &root)}, "incompatible key usage"},
		"an unknown authority":                                   {[]authority{other}, host, []authority{root.leaf(host)}, "unknown authority"},
		"a root of the right name and the wrong key":             {[]authority{namesake}, host, []authority{root.leaf(host)}, "unknown authority"},
		"a self-signed certificate":                              {[]authority{root}, host, []authority{own}, "unknown authority"},
		"a chain with its intermediate missing":                  {[]authority{root}, host, []authority{inner.leaf(host)}, "unknown authority"},
		"a chain through a certificate that may not sign others": {[]authority{root}, host, []authority{impostor.leaf(host), impostor}, "unknown authority"},
		"a server that sends its own root":                       {[]authority{other}, host, []authority{root.leaf(host), root}, "unknown authority"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, t.TempDir(), "bundle.pem", encode(test.bundle...))
			store := newStore(map[string]string{"SSL_CERT_FILE": file})
			for range 2 { // the second handshake uses what the first found
				assertOutcome(t, handshake(t, store.Config(test.host), test.chain...), test.want)
			}
		})
	}
}

func assertOutcome(t *testing.T, err error, want string) {
	t.Helper()
	var refusal *tls.CertificateVerificationError
	switch {
	case want == "" && err != nil:
		t.Errorf("handshake failed: %v", err)
	case want != "" && err == nil:
		t.Errorf("handshake succeeded, want %q", want)
	case want != "" && (!errors.As(err, &refusal) || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v (%T), want a CertificateVerificationError with %q", err, err, want)
	}
}

// TestVerifyAgreesWithCryptoX509 compares with the standard library's own
// verification of the same chains.
func TestVerifyAgreesWithCryptoX509(t *testing.T) {
	t.Parallel()
	const host = "ec2.us-west-2.amazonaws.com"
	root := newCA(t, "Root")
	inner := root.ca("Intermediate")
	file := write(t, t.TempDir(), "bundle.pem", encode(newCA(t, "A"), root, newCA(t, "B")))
	store := newStore(map[string]string{"SSL_CERT_FILE": file})
	all := x509.NewCertPool()
	all.AddCert(root.cert)
	for _, chain := range [][]authority{
		{inner.leaf(host), inner}, {inner.leaf(host)}, {root.leaf(host), root}, {root.leaf("example.com")}, {newCA(t, "Root").leaf(host)},
	} {
		var certs []*x509.Certificate
		intermediates := x509.NewCertPool()
		for _, c := range chain {
			certs = append(certs, c.cert)
			intermediates.AddCert(c.cert)
		}
		_, want := certs[0].Verify(x509.VerifyOptions{DNSName: host, Roots: all, Intermediates: intermediates, CurrentTime: moment})
		if got := store.Verify(certs, host); (got == nil) != (want == nil) {
			t.Errorf("verdict %v, want crypto/x509's: %v", got, want)
		}
	}
}

func TestWhereRootsAreLookedFor(t *testing.T) {
	t.Parallel()
	const host = "sts.us-west-2.amazonaws.com"
	root, other := newCA(t, "Root"), newCA(t, "Other")
	leaf := root.leaf(host)
	dir, empty := t.TempDir(), t.TempDir()
	file := write(t, dir, "root.pem", encode(root))
	if err := os.Symlink(file, filepath.Join(dir, "0a1b2c3d.0")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	wrong := write(t, empty, "other.pem", encode(other))
	damaged := write(t, empty, "damaged.pem", append([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\nrubbish\n"), encode(root)...))
	missing := filepath.Join(empty, "missing.pem")

	tests := map[string]struct {
		env  map[string]string
		want string
	}{
		"SSL_CERT_FILE": {map[string]string{"SSL_CERT_FILE": file}, ""},
		"a bundle with a damaged entry and rubbish":            {map[string]string{"SSL_CERT_FILE": damaged}, ""},
		"SSL_CERT_DIR when the file has no fitting root":       {map[string]string{"SSL_CERT_FILE": wrong, "SSL_CERT_DIR": "/nonexistent:" + dir}, ""},
		"SSL_CERT_DIR when there is no file":                   {map[string]string{"SSL_CERT_FILE": missing, "SSL_CERT_DIR": dir}, ""},
		"AWS_CA_BUNDLE":                                        {map[string]string{"AWS_CA_BUNDLE": file, "SSL_CERT_FILE": wrong}, ""},
		"AWS_CA_BUNDLE replaces the system's roots":            {map[string]string{"AWS_CA_BUNDLE": wrong, "SSL_CERT_FILE": file, "SSL_CERT_DIR": dir}, "unknown authority"},
		"AWS_CA_BUNDLE that does not exist is named":           {map[string]string{"AWS_CA_BUNDLE": missing, "SSL_CERT_FILE": file}, "AWS_CA_BUNDLE"},
		"no bundle anywhere names the places":                  {map[string]string{"SSL_CERT_FILE": missing}, missing},
		"a fitting root in neither the file nor the directory": {map[string]string{"SSL_CERT_FILE": wrong, "SSL_CERT_DIR": empty + "/none"}, "unknown authority"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertOutcome(t, handshake(t, newStore(test.env).Config(host), leaf), test.want)
		})
	}
}

func TestARotatedBundleIsReadAgain(t *testing.T) {
	t.Parallel()
	const host = "ec2.us-west-2.amazonaws.com"
	before, after := newCA(t, "Corporate Root"), newCA(t, "Corporate Root")
	dir := t.TempDir()
	file := write(t, dir, "bundle.pem", encode(before))
	store := newStore(map[string]string{"SSL_CERT_FILE": file})
	assertOutcome(t, handshake(t, store.Config(host), before.leaf(host)), "")
	assertOutcome(t, handshake(t, store.Config(host), after.leaf(host)), "unknown authority")
	write(t, dir, "bundle.pem", encode(after))
	assertOutcome(t, handshake(t, store.Config(host), after.leaf(host)), "")
}

func TestNoFileIsReadBeforeTheFirstHandshake(t *testing.T) {
	t.Parallel()
	root := newCA(t, "Root")
	dir := t.TempDir()
	store := newStore(map[string]string{"SSL_CERT_FILE": filepath.Join(dir, "late.pem")})
	settings := store.Config("example.com")
	write(t, dir, "late.pem", encode(root))
	assertOutcome(t, handshake(t, settings, root.leaf("example.com")), "")
}

func TestAConnectionWithoutHostNameIsRefused(t *testing.T) {
	t.Parallel()
	root := newCA(t, "Root")
	store := newStore(map[string]string{"SSL_CERT_FILE": write(t, t.TempDir(), "bundle.pem", encode(root))})
	leaf := root.leaf("example.com")
	assertOutcome(t, handshake(t, store.Config(""), leaf), "no host name")

	named := store.Config("") // as net/http fills it in behind a proxy
	named.ServerName = "example.com"
	assertOutcome(t, handshake(t, named, leaf), "")
	named = store.Config("")
	named.ServerName = "example.org"
	assertOutcome(t, handshake(t, named, leaf), "not example.org")
	assertOutcome(t, store.Verify(nil, "example.com"), "no certificate")
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	if got := newStore(nil).Config("example.com").MinVersion; got != tls.VersionTLS12 {
		t.Errorf("oldest version %x, want TLS 1.2", got)
	}
}

func TestMemoryOfChainsIsBounded(t *testing.T) {
	t.Parallel()
	root := newCA(t, "Root")
	store := newStore(map[string]string{"SSL_CERT_FILE": write(t, t.TempDir(), "bundle.pem", encode(root))})
	for i := range 3 * rememberLimit {
		inner := root.ca(strings.Repeat("x", i+1))
		chain := []*x509.Certificate{inner.leaf("example.com").cert, inner.cert}
		if err := store.Verify(chain, "example.com"); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.known) > rememberLimit {
		t.Errorf("%d chains are remembered, want at most %d", len(store.known), rememberLimit)
	}
}
