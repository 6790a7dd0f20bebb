package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Files of a certificate directory, as Kubernetes and cert-manager name them
// in Secrets of type kubernetes.io/tls.
const (
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
)

// reloadInterval is how often the files are read.
const reloadInterval = 10 * time.Second

// Directory is the serving certificate in a directory that may be renewed at
// any time.
//
// It reads the files again at intervals instead of watching them: a Secret is
// renewed by swapping a symbolic link two directories up, and the old
// certificate is good for long after that.
type Directory struct {
	path      string
	log       *slog.Logger
	serves    func(until time.Time)
	current   atomic.Pointer[tls.Certificate]
	pem       [2][]byte // what current was made of
	complaint string    // the last one, not to be repeated
}

// NewDirectory returns the certificate in the directory at path. It calls
// serves with the end of each certificate that it shows from then on.
func NewDirectory(path string, log *slog.Logger, serves func(until time.Time)) *Directory {
	return &Directory{path: path, log: log, serves: serves}
}

// Load reads the certificate if it changed.
func (d *Directory) Load() error {
	cert, err := os.ReadFile(filepath.Join(d.path, CertFile))
	if err != nil {
		return fmt.Errorf("reading the serving certificate: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(d.path, KeyFile))
	if err != nil {
		return fmt.Errorf("reading the serving certificate's key: %w", err)
	}
	if bytes.Equal(cert, d.pem[0]) && bytes.Equal(key, d.pem[1]) {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("serving certificate in %s: %w", d.path, err)
	}
	d.pem = [2][]byte{cert, key}
	d.current.Store(&pair)
	d.serves(pair.Leaf.NotAfter)
	d.log.Info("serving certificate loaded", keyCertificate, filepath.Join(d.path, CertFile), keyExpires, pair.Leaf.NotAfter)
	return nil
}

// Run loads the certificate at intervals until ctx ends. A pair that cannot be
// used, such as one that is half written, is reported once and the last good
// one kept.
func (d *Directory) Run(ctx context.Context) {
	ticker := time.NewTicker(reloadInterval)
	defer ticker.Stop()
	for {
		if err := d.Load(); err != nil && err.Error() != d.complaint {
			d.complaint = err.Error()
			d.log.Error("serving certificate not loaded", keyError, err)
		} else if err == nil {
			d.complaint = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Get is for tls.Config's GetCertificate.
func (d *Directory) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair := d.current.Load()
	if pair == nil {
		return nil, errNone
	}
	return pair, nil
}

// Ready says why connections cannot be served now.
func (d *Directory) Ready() error { return current(d.current.Load(), time.Now()) }
