package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
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
	certFile = "tls.crt"
	keyFile  = "tls.key"
)

// certificate is the serving certificate in a directory that may be renewed
// at any time.
//
// It reads the files again at intervals instead of watching them: a Secret is
// renewed by swapping a symbolic link two directories up, and the old
// certificate is good for long after that.
type certificate struct {
	dir       string
	log       *slog.Logger
	serves    func(until time.Time) // told of each certificate
	current   atomic.Pointer[tls.Certificate]
	pem       [2][]byte // what current was made of
	complaint string    // the last one, not to be repeated
}

// load reads the certificate if it changed.
func (c *certificate) load() error {
	cert, err := os.ReadFile(filepath.Join(c.dir, certFile))
	if err != nil {
		return fmt.Errorf("reading the serving certificate: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(c.dir, keyFile))
	if err != nil {
		return fmt.Errorf("reading the serving certificate's key: %w", err)
	}
	if bytes.Equal(cert, c.pem[0]) && bytes.Equal(key, c.pem[1]) {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("serving certificate in %s: %w", c.dir, err)
	}
	c.pem = [2][]byte{cert, key}
	c.current.Store(&pair)
	c.serves(pair.Leaf.NotAfter)
	c.log.Info("serving certificate loaded", keyCert, filepath.Join(c.dir, certFile), keyExpires, pair.Leaf.NotAfter)
	return nil
}

// follow loads the certificate at every interval until ctx ends. A pair that
// cannot be used, such as one that is half written, is reported once and the
// last good one kept.
func (c *certificate) follow(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := c.load(); err != nil && err.Error() != c.complaint {
			c.complaint = err.Error()
			c.log.Error("serving certificate not loaded", keyError, err)
		} else if err == nil {
			c.complaint = ""
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// get is tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair := c.current.Load()
	if pair == nil {
		return nil, errors.New("no serving certificate is loaded yet")
	}
	return pair, nil
}

// ready says why connections cannot be served yet.
func (c *certificate) ready() error {
	_, err := c.get(nil)
	return err
}
