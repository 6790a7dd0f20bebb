package webhook

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/multus-ipmgr/multus-ipmgr/feed"
	"github.com/multus-ipmgr/multus-ipmgr/process"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

// memory is a cluster in memory: every namespace is enabled and every network
// is an ipvlan one, but for those that it lists.
type memory struct {
	namespaces map[string]inject.Namespace // what a fresh read finds
	stale      map[string]inject.Namespace // what the cache says
	gate       chan struct{}               // if set, reads wait for it
	notReady   error
	stuck      chan struct{} // if set, it does not end before that

	nads              []nad.Network
	reservations      []nad.Reservation // what the cache says
	freshReservations []nad.Reservation // what a fresh read finds beside them

	misspeltNamespaces int
}

func (m *memory) ready() error { return m.notReady }

func (m *memory) Start(ctx context.Context) error {
	<-ctx.Done()
	if m.stuck != nil {
		<-m.stuck
	}
	return nil
}

// ages are of a resource that was heard of at the start.
func (m *memory) ages() feed.Set {
	f := newFeeds(discard()).namespaces
	f.Follow(&toolscache.ListWatch{})
	return feed.Set{f}
}

func (m *memory) misspelt() int { return m.misspeltNamespaces }

func (m *memory) Namespace(_ context.Context, name string, fresh bool) (inject.Namespace, error) {
	if m.gate != nil {
		<-m.gate
	}
	if ns, cached := m.stale[name]; cached && !fresh {
		return ns, nil
	}
	if ns, listed := m.namespaces[name]; listed {
		return ns, nil
	}
	if name == "unreadable" {
		return inject.Namespace{}, errors.New("reading namespaces unreadable: connection refused")
	}
	return inject.Namespace{Name: name, Labels: map[string]string{inject.InjectLabel: inject.Enabled}}, nil
}

func (m *memory) CachedNAD(_, name string) (nad.Network, bool) {
	return nad.Network{Managed: true, Addressed: true}, name != "missing"
}

func (m *memory) LiveNAD(_ context.Context, _, name string) (nad.Network, bool, error) {
	return nad.Network{Managed: true, Addressed: true}, name != "missing", nil
}

func (m *memory) Ranges() *nad.Index { return nad.NewIndex(m.nads...) }

func (m *memory) Reservations(_ context.Context, fresh bool) []nad.Reservation {
	if fresh {
		return append(m.reservations, m.freshReservations...)
	}
	return m.reservations
}

// testServer is a server that runs until the test ends.
type testServer struct {
	*Server
	dir       string // of the certificate
	authority *authority
	stop      context.CancelFunc
	done      chan error
	log       *lines
}

// lines are the log lines of a server.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func serve(t testing.TB, cluster source, flags ...string) *testServer {
	t.Helper()
	s := &testServer{dir: t.TempDir(), authority: newAuthority(t), done: make(chan error, 1), log: &lines{}}
	s.authority.issue(t, s.dir, 2)
	options, err := ParseOptions(append([]string{
		"--address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--cert-dir=" + s.dir, "--drain=0s", "--image=ipmgr",
	}, flags...), "v0", "", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	grace := process.StopTimeout
	if m, ok := cluster.(*memory); ok && m.stuck != nil {
		grace = impatience
	}
	if s.Server, err = newServer(t.Context(), options, idleManager(t, grace), cluster, log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // cleanups come after the end of t.Context
	s.stop = cancel
	go func() { s.done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err, open := <-s.done; open && err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	for s.cert.Ready() != nil { // what readiness waits for
		_, _ = s.get(t, "/healthz")
	}
	return s
}

// idleManager is a manager whose cache nobody asks.
func idleManager(t testing.TB, grace time.Duration) manager.Manager {
	t.Helper()
	m, err := newManager(&rest.Config{Host: "http://127.0.0.1:1"}, newFeeds(discard()), grace, discard())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// impatience is how long a test's server waits for what is stuck.
const impatience = time.Second

// client speaks to the admission port as the API server does.
func (s *testServer) client(t testing.TB, maxVersion uint16) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.authority.pool(), MaxVersion: maxVersion},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *testServer) get(t testing.TB, path string) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + s.OpsAddress() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	return read(t, response)
}

// post sends one review and returns the status and the body of the answer.
func (s *testServer) post(t testing.TB, body string) (int, string) {
	t.Helper()
	response, err := s.client(t, 0).Post("https://"+s.Address()+review.PodPath, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func read(t testing.TB, response *http.Response) (int, string) {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// reviewOf is a review of a pod, given as JSON.
func reviewOf(namespace, pod string) string {
	return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","kind":{"group":"","version":"v1","kind":"Pod"},"namespace":%q,"operation":"CREATE","object":%s}}`, namespace, pod)
}

// podOf is the JSON of a pod with networks.
func podOf(networks string) string {
	return fmt.Sprintf(`{"metadata":{"name":"upf","annotations":{%q:%q}},"spec":{"containers":[{"name":"upf","image":"upf"}]}}`, nad.NetworksAnnotation, networks)
}

// decodeAnswer reads an answer as the API server does.
func decodeAnswer(t testing.TB, body string) *admissionv1.AdmissionResponse {
	t.Helper()
	var review admissionv1.AdmissionReview
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&review); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if review.Kind != "AdmissionReview" || review.APIVersion != "admission.k8s.io/v1" || review.Request != nil || review.Response == nil {
		t.Fatalf("answer %s", body)
	}
	return review.Response
}

// captured is a review that kube-apiserver 1.36 sent for a pod of a Deployment.
func captured(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/review.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
