package roots

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
)

// bundleFiles are the places of the bundle on the known Linux distributions,
// in crypto/x509's order (root_linux.go).
func bundleFiles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo, Arch, distroless
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6, Amazon Linux
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS, RHEL 7
		"/etc/ssl/cert.pem",                                 // Alpine
	}
}

// bundleDirs are the directories that crypto/x509 reads besides.
func bundleDirs() []string {
	return []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}
}

// fromFile returns the roots with one of names in the first bundle that exists.
func (s *Store) fromFile(names map[string]bool) ([]*x509.Certificate, error) {
	for _, file := range s.files {
		if bundle, err := os.ReadFile(file); err == nil {
			return pick(bundle, names), nil
		}
	}
	return nil, s.errNoBundle()
}

// fromDirs returns the roots with one of names in all files of all directories.
// What cannot be read is passed over, as crypto/x509 does.
func (s *Store) fromDirs(names map[string]bool) []*x509.Certificate {
	var found []*x509.Certificate
	seen := map[string]bool{} // Debian links each file twice
	for _, dir := range s.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			file, ok := regular(filepath.Join(dir, entry.Name()), entry)
			if !ok || seen[file] {
				continue
			}
			seen[file] = true
			if bundle, err := os.ReadFile(file); err == nil {
				found = append(found, pick(bundle, names)...)
			}
		}
	}
	return found
}

// regular follows links and reports whether path is a file.
func regular(path string, entry fs.DirEntry) (string, bool) {
	if entry.Type()&fs.ModeSymlink != 0 {
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return "", false
		}
		info, err := os.Stat(target)
		return target, err == nil && info.Mode().IsRegular()
	}
	return path, entry.Type().IsRegular()
}

// pick parses the certificates of a PEM bundle whose subject is one of names.
// A damaged certificate is passed over, as crypto/x509 does.
func pick(bundle []byte, names map[string]bool) []*x509.Certificate {
	var found []*x509.Certificate
	for der := range certificates(bundle) {
		if !names[string(subject(der))] {
			continue
		}
		if certificate, err := x509.ParseCertificate(bytes.Clone(der)); err == nil {
			found = append(found, certificate)
		}
	}
	return found
}

// The armour of a certificate (RFC 7468).
const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
)

// certificates yields the DER of each certificate of a PEM bundle, in a buffer
// that the next one overwrites. It takes a third of encoding/pem's time, which
// still reads whatever is not plain base64.
func certificates(bundle []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var buffer []byte
		for {
			block, rest, ok := bytes.Cut(bundle, []byte(pemEnd))
			if !ok {
				return
			}
			bundle = rest
			if der, ok := decode(block, &buffer); ok && !yield(der) {
				return
			}
		}
	}
}

// decode decodes the last certificate in block, which ends before pemEnd.
func decode(block []byte, buffer *[]byte) ([]byte, bool) {
	body := block
	for i := bytes.Index(body, []byte(pemBegin)); i >= 0; i = bytes.Index(body, []byte(pemBegin)) {
		block, body = body[i:], body[i+len(pemBegin):]
	}
	if len(body) == len(block) {
		return nil, false
	}
	*buffer = slices.Grow((*buffer)[:0], base64.StdEncoding.DecodedLen(len(body)))
	decoded := (*buffer)[:cap(*buffer)]
	if n, err := base64.StdEncoding.Decode(decoded, body); err == nil {
		return decoded[:n], n > 0
	}
	odd, _ := pem.Decode(slices.Concat(block, []byte(pemEnd), []byte("\n")))
	if odd == nil || odd.Type != "CERTIFICATE" || len(odd.Headers) != 0 {
		return nil, false
	}
	return odd.Bytes, true
}
