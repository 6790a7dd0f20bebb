package certificate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/certificate"
)

// issue writes tls.crt and tls.key into dir.
func issue(t *testing.T, dir string, serial int64, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, certificate.CertFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, filepath.Join(dir, certificate.KeyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// watched is a Directory that is watched until the test ends.
type watched struct {
	*certificate.Directory
	dir  string
	now  atomic.Pointer[time.Time]
	ends atomic.Pointer[time.Time] // as it was said last
}

func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{dir: t.TempDir()}
	now := time.Now()
	w.now.Store(&now)
	w.Directory = certificate.NewDirectory(w.dir, func() time.Time { return *w.now.Load() }, slog.New(slog.DiscardHandler),
		func(until time.Time) { w.ends.Store(&until) })
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *watched) serial() int64 {
	pair, err := w.Get(nil)
	if err != nil {
		return 0
	}
	return pair.Leaf.SerialNumber.Int64()
}

// shows waits until a certificate is shown, and its end was said.
func (w *watched) shows(t *testing.T, serial int64, until time.Time) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		ends := w.ends.Load()
		if w.serial() == serial && ends != nil && ends.Equal(until) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("serial %d, end %v; want %d, %s", w.serial(), ends, serial, until)
		}
	}
}

func TestDirectoryIsReadAgain(t *testing.T) {
	w := watch(t)
	day := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	issue(t, w.dir, 2, day)
	w.shows(t, 2, day)
	issue(t, w.dir, 3, day.Add(time.Hour))
	w.shows(t, 3, day.Add(time.Hour))

	write(t, filepath.Join(w.dir, certificate.CertFile), []byte("half writ"))
	for range 20 { // that it is read is nothing that can be waited for
		time.Sleep(5 * time.Millisecond)
		if got := w.serial(); got != 3 {
			t.Fatalf("serial %d is shown for a broken file", got)
		}
	}
	if err := os.Remove(filepath.Join(w.dir, certificate.KeyFile)); err != nil {
		t.Fatal(err)
	}
	if err := w.Ready(); err != nil || w.serial() != 3 {
		t.Errorf("without a key: serial %d, %v", w.serial(), err)
	}
	issue(t, w.dir, 4, day)
	w.shows(t, 4, day)
}

func TestDirectoryIsReadyWithACertificateThatHasNotEnded(t *testing.T) {
	w := watch(t)
	if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "no serving certificate") {
		t.Errorf("before the first certificate: %v", err)
	}
	until := w.now.Load().Add(time.Hour).Truncate(time.Second)
	issue(t, w.dir, 2, until)
	w.shows(t, 2, until)
	if err := w.Ready(); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	after := until.Add(2 * time.Second)
	w.now.Store(&after)
	if err := w.Ready(); err == nil || !strings.Contains(err.Error(), "the serving certificate ended at") {
		t.Errorf("after its end: %v", err)
	}
}
