package certificate_test

import (
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
	"sync"
	"testing"
	"testing/synctest"
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

const interval = 10 * time.Second // between two looks at a directory

// record is what a Directory logs and says while a test reads along.
type record struct {
	mu   sync.Mutex
	log  strings.Builder
	ends time.Time
}

// Write implements io.Writer.
func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

func (r *record) serves(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = until
}

// read returns the log so far and the end that was said last.
func (r *record) read() (log string, ends time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String(), r.ends
}

func TestDirectoryIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told record
		dir := t.TempDir()
		d := certificate.NewDirectory(dir, slog.New(slog.NewTextHandler(&told, nil)), told.serves)
		day := time.Now().Add(24 * time.Hour).Truncate(time.Second)
		issue(t, dir, 2, day)
		go d.Run(t.Context())
		shows := func(want int64, when string) {
			t.Helper()
			time.Sleep(interval)
			synctest.Wait()
			pair, err := d.Get(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := pair.Leaf.SerialNumber.Int64(); got != want {
				t.Errorf("%s: serial %d, want %d", when, got, want)
			}
		}
		complaints := func(want int) {
			t.Helper()
			log, _ := told.read()
			if got := strings.Count(log, "level=ERROR"); got != want {
				t.Errorf("%d complaints, want %d:\n%s", got, want, log)
			}
		}
		shows(2, "at first")
		issue(t, dir, 3, day.Add(time.Hour))
		shows(3, "after renewal")
		if _, ends := told.read(); !ends.Equal(day.Add(time.Hour)) {
			t.Errorf("it was said to end at %s", ends)
		}
		write(t, filepath.Join(dir, certificate.CertFile), []byte("half writ"))
		for range 3 {
			shows(3, "with a broken file")
		}
		complaints(1)
		if err := os.Remove(filepath.Join(dir, certificate.KeyFile)); err != nil {
			t.Fatal(err)
		}
		shows(3, "without a key")
		issue(t, dir, 4, day)
		shows(4, "after the mend")
		complaints(2)
	})
}

func TestDirectoryIsReadyWithACertificateThatHasNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := certificate.NewDirectory(dir, slog.New(slog.DiscardHandler), func(time.Time) {})
		if err := d.Ready(); err == nil || !strings.Contains(err.Error(), "no serving certificate") {
			t.Errorf("before the first certificate: %v", err)
		}
		issue(t, dir, 2, time.Now().Add(time.Hour))
		if err := d.Load(); err != nil {
			t.Fatal(err)
		}
		if err := d.Ready(); err != nil {
			t.Errorf("with a certificate: %v", err)
		}
		time.Sleep(time.Hour + time.Second)
		if err := d.Ready(); err == nil || !strings.Contains(err.Error(), "the serving certificate ended at") {
			t.Errorf("after its end: %v", err)
		}
	})
}
