package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	"github.com/multus-ipmgr/multus-ipmgr/process"
)

// Files of a certificate directory, as Kubernetes and cert-manager name them
// in Secrets of type kubernetes.io/tls.
const (
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
)

// firstInterval is how often a certificate is looked for that is not there yet.
const firstInterval = time.Second

// Directory is the serving certificate in a directory that may be renewed at
// any time. It waits for the first, which controller-runtime's certwatcher, who
// does all else, takes for granted.
type Directory struct {
	path    string
	now     func() time.Time
	log     *slog.Logger
	serves  func(until time.Time)
	watcher atomic.Pointer[certwatcher.CertWatcher] // nil until there is a certificate
	trouble process.Trouble
}

// NewDirectory returns the certificate in the directory at path. It calls
// serves with the end of each certificate that it shows from then on.
func NewDirectory(path string, now func() time.Time, log *slog.Logger, serves func(until time.Time)) *Directory {
	return &Directory{path: path, now: now, log: log, serves: serves}
}

// NeedLeaderElection tells the manager that every replica needs a certificate.
func (*Directory) NeedLeaderElection() bool { return false }

// Start keeps the certificate up to date until ctx ends.
func (d *Directory) Start(ctx context.Context) error {
	ticker := time.NewTicker(firstInterval)
	defer ticker.Stop()
	for {
		err := d.load()
		if d.trouble.Changed(err) && err != nil {
			d.log.Error("serving certificate not loaded", keyError, err)
		}
		if err == nil {
			return d.watcher.Load().Start(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// load reads the first certificate.
func (d *Directory) load() error {
	certificate := filepath.Join(d.path, CertFile)
	watcher, err := certwatcher.New(certificate, filepath.Join(d.path, KeyFile))
	if err != nil {
		return fmt.Errorf("reading the serving certificate in %s: %w", d.path, err)
	}
	watcher.RegisterCallback(func(pair tls.Certificate) {
		d.serves(pair.Leaf.NotAfter)
		d.log.Info("serving certificate loaded", keyCertificate, certificate, keyExpires, pair.Leaf.NotAfter)
	})
	d.watcher.Store(watcher)
	return nil
}

// Get is for tls.Config's GetCertificate.
func (d *Directory) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	watcher := d.watcher.Load()
	if watcher == nil {
		return nil, errNone
	}
	return watcher.GetCertificate(hello)
}

// Ready says why connections cannot be served now.
func (d *Directory) Ready() error {
	pair, err := d.Get(nil)
	if err != nil {
		return err
	}
	return current(pair, d.now())
}
