package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/process"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/certificate"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestServerSpeaksTLS13AndHTTP2Only(t *testing.T) {
	s := serve(t, &memory{})
	response, err := s.client(t, 0).Post("https://"+s.Address()+review.PodPath, "application/json", strings.NewReader(captured(t)))
	if err != nil {
		t.Fatal(err)
	}
	read(t, response)
	if response.TLS.Version != tls.VersionTLS13 || response.ProtoMajor != 2 {
		t.Errorf("TLS %x, %s", response.TLS.Version, response.Proto)
	}
	response, err = s.client(t, tls.VersionTLS12).Post("https://"+s.Address()+review.PodPath, "application/json", strings.NewReader("{}"))
	if err == nil {
		read(t, response)
		t.Error("TLS 1.2 was accepted")
	}
}

func TestReadinessWaitsForTheCaches(t *testing.T) {
	m := &memory{notReady: errors.New("namespaces are not read yet")}
	s := serve(t, m)
	if code, body := s.get(t, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "namespaces are not read yet") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if code, body := s.get(t, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d %s", code, body)
	}
}

func TestReadinessWaitsForTheCertificate(t *testing.T) {
	dir := t.TempDir()
	c := certificate.NewDirectory(dir, time.Now, discard(), newMetrics().serves)
	s := &Server{cluster: &memory{}, cert: c}
	if err := s.ready(); err == nil || !strings.Contains(err.Error(), "no serving certificate") {
		t.Errorf("error %v", err)
	}
	newAuthority(t).issue(t, dir, 2)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	for deadline := time.Now().Add(30 * time.Second); s.ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(s.ready())
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheCertificatesEndIsAMetricOnceThereIsOne(t *testing.T) {
	const name = "\nmultus_ipmgr_webhook_certificate_expiry_timestamp_seconds "
	s := serve(t, &memory{})
	_, metrics := s.get(t, "/metrics")
	pair, err := s.cert.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := strconv.FormatFloat(float64(pair.Leaf.NotAfter.Unix()), 'g', -1, 64)
	if !strings.Contains(metrics, name+want+"\n") {
		t.Errorf("metrics lack %s%s:\n%s", name, want, metrics)
	}
	lacking, err := newMetrics().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range lacking {
		if family.GetName() == strings.TrimSpace(name) {
			t.Errorf("a server without certificate reports %v", family)
		}
	}
}

// A replica that stops is unready first, goes on answering for the time of
// --drain, and lets requests that are under way end.
func TestStopLosesNoRequest(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("while it stops", func(t *testing.T) {
		m := &memory{gate: make(chan struct{})}
		s := serve(t, m, "--drain=300ms")
		answered := make(chan int, 1)
		go func() {
			code, _ := s.post(t, reviewOf("apps", podOf("net-a")))
			answered <- code
		}()
		s.stop()
		for !s.stopping.Load() {
			time.Sleep(time.Millisecond)
		}
		if code, body := s.get(t, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "stopping") {
			t.Errorf("readyz: %d %s", code, body)
		}
		close(m.gate)
		if code := <-answered; code != http.StatusOK {
			t.Errorf("the request under way got %d", code)
		}
	})
}

func TestListenersThatAreTakenAreNamed(t *testing.T) {
	s := serve(t, &memory{})
	for flag, options := range map[string]Options{
		"--address":     {Address: s.Address(), OpsAddress: "127.0.0.1:0"},
		"--ops-address": {Address: "127.0.0.1:0", OpsAddress: s.OpsAddress()},
	} {
		if _, err := newServer(t.Context(), options, idleManager(t, process.StopTimeout), &memory{}, discard()); err == nil || !strings.HasPrefix(err.Error(), flag+": ") {
			t.Errorf("error %v, want one of %s", err, flag)
		}
	}
}

func TestACacheThatDoesNotEndDoesNotKeepTheProcess(t *testing.T) {
	m := &memory{stuck: make(chan struct{})}
	defer close(m.stuck)
	s := serve(t, m)
	began := time.Now()
	s.stop()
	err := <-s.done
	close(s.done) // nothing else is told
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < impatience {
		t.Errorf("error %v after %s, want that it waited for %s", err, took, impatience)
	}
}

func TestControllerRuntimeMeasuresHandlersAndProcess(t *testing.T) {
	s := serve(t, &memory{})
	s.post(t, reviewOf("apps", podOf("net-a")))
	_, metrics := s.get(t, "/metrics")
	for _, want := range []string{"\ngo_goroutines ", "\nprocess_resident_memory_bytes "} {
		if strings.Count(metrics, want) != 1 {
			t.Errorf("the metrics lack %s:\n%s", want, metrics)
		}
	}
	for _, path := range []string{review.PodPath, review.LatePath, review.NADPath} {
		if want := fmt.Sprintf("controller_runtime_webhook_requests_total{code=\"200\",webhook=%q}", path); !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestCachesSayHowOldTheyAre(t *testing.T) {
	s := serve(t, &memory{})
	if _, metrics := s.get(t, "/metrics"); !strings.Contains(metrics, "\nmultus_ipmgr_cache_age_seconds{resource=\"namespaces\"} ") {
		t.Errorf("metrics lack the caches' age:\n%s", metrics)
	}
}
