package roots

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
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
	for {
		var block *pem.Block
		block, bundle = pem.Decode(bundle)
		if block == nil {
			return found
		}
		if block.Type != "CERTIFICATE" || len(block.Headers) != 0 || !names[string(subject(block.Bytes))] {
			continue
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			found = append(found, certificate)
		}
	}
}
