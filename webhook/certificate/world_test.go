package certificate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const host = "multus-ipmgr-webhook.system.svc"

// period is between two renewals with settings.
const period = 7 * time.Minute

// lag is how much later than a change API servers know of it.
const lag = 3 * time.Second

func settings() Settings {
	return Settings{
		Namespace: "system", Secret: "s", Configuration: "c", Names: []string{host},
		Duration: 12 * time.Minute, RenewBefore: 5 * time.Minute, Overlap: time.Minute, Interval: 5 * time.Second,
	}
}

// memory is a cluster whose objects have versions, as the API server's do.
type memory struct {
	mu       sync.Mutex
	versions int
	content  *secret                  // nil: deleted
	objects  map[string]configuration // by resource
	denied   error                    // answers every write
	past     []moment
	verdicts map[string]error
	watchers []chan<- struct{}
}

// moment is what the configurations were from a time on.
type moment struct {
	at      time.Time
	bundles [][]byte
}

func newMemory() *memory {
	m := &memory{content: &secret{version: "0"}, objects: map[string]configuration{}, verdicts: map[string]error{}}
	for i, resource := range registrations() {
		m.objects[resource.Resource] = configuration{resource: resource, version: "0", bundles: make([][]byte, 2-i)}
	}
	m.remember()
	return m
}

// version is for a change, of which watchers are told.
func (m *memory) version() string {
	m.versions++
	for _, w := range m.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return strconv.Itoa(m.versions)
}

func (m *memory) follow(ctx context.Context, changed chan<- struct{}) {
	m.mu.Lock()
	m.watchers = append(m.watchers, changed)
	m.mu.Unlock()
	<-ctx.Done()
}

func (m *memory) remember() {
	var bundles [][]byte
	for _, c := range m.objects {
		bundles = append(bundles, c.bundles...)
	}
	m.past = append(m.past, moment{time.Now(), bundles})
}

func (m *memory) secret(context.Context) (secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.content == nil {
		return secret{}, errors.New("the Secret is gone")
	}
	return secret{m.content.version, maps.Clone(m.content.data)}, nil
}

func (m *memory) update(_ context.Context, s secret) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.denied != nil:
		return m.denied
	case m.content == nil || m.content.version != s.version:
		return errConflict
	}
	m.content = &secret{m.version(), s.data}
	return nil
}

// replace is someone else's doing; nil deletes the Secret.
func (m *memory) replace(data map[string][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.content = nil; data != nil {
		m.content = &secret{m.version(), data}
	}
}

func (m *memory) configurations(context.Context) ([]configuration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []configuration
	for _, c := range m.objects {
		c.bundles = slices.Clone(c.bundles)
		list = append(list, c)
	}
	return list, nil
}

func (m *memory) announce(_ context.Context, c configuration) (configuration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.denied != nil:
		return c, m.denied
	case m.objects[c.resource.Resource].version != c.version:
		return c, errConflict
	}
	c.version = m.version()
	m.objects[c.resource.Resource] = c
	m.remember()
	return c, nil
}

// deny has every write fail from now on, unless err is nil.
func (m *memory) deny(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.denied = err
}

// fill has someone else set every caBundle.
func (m *memory) fill(bundle []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, c := range m.objects {
		c.version, c.bundles = m.version(), slices.Clone(c.bundles)
		for i := range c.bundles {
			c.bundles[i] = bundle
		}
		m.objects[name] = c
	}
	m.remember()
}

func (m *memory) stored(t *testing.T) generations {
	t.Helper()
	s, err := m.secret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := decode(s.data)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// known are the bundles by which the slowest API server judges.
func (m *memory) known() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, moment := range slices.Backward(m.past) {
		if time.Since(moment.at) >= lag {
			return moment.bundles
		}
	}
	return m.past[0].bundles
}

// replica is one of a server, with a clock of its own.
type replica struct {
	*Managed
	ahead atomic.Int64 // nanoseconds
	log   strings.Builder
	ends  time.Time // as serves was told
}

func (r *replica) clock() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }

// begin runs m until ctx ends.
func begin(ctx context.Context, t *testing.T, m interface {
	Start(ctx context.Context) error
}) {
	t.Helper()
	go func() {
		if err := m.Start(ctx); err != nil {
			t.Error(err)
		}
	}()
}

func (m *memory) start(t *testing.T, s Settings) *replica {
	t.Helper()
	r := &replica{}
	r.Managed = newManaged(s, m, r.clock, slog.New(slog.NewTextHandler(&r.log, nil)), func(until time.Time) { r.ends = until })
	begin(t.Context(), t, r)
	synctest.Wait()
	return r
}

// call is what API servers meet that call r: those that know of every change,
// and those that lag behind.
func (m *memory) call(r *replica) error {
	pair, err := r.Get(nil)
	if err != nil {
		return err
	}
	bundles := m.known()
	m.mu.Lock()
	defer m.mu.Unlock()
	bundles = append(slices.Clone(bundles), m.past[len(m.past)-1].bundles...)
	for _, bundle := range bundles {
		if err := m.verify(pair.Leaf, bundle); err != nil {
			return err
		}
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return fmt.Errorf("the certificate ended at %s", pair.Leaf.NotAfter)
	}
	return nil
}

// verify remembers what it found: signatures take long.
func (m *memory) verify(leaf *x509.Certificate, bundle []byte) error {
	key := string(leaf.Raw) + string(bundle)
	err, known := m.verdicts[key]
	if !known {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(bundle)
		_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: always.Add(time.Second)})
		m.verdicts[key] = err
	}
	return err
}

// pass lets time pass, in which no call of a replica fails.
func (m *memory) pass(t *testing.T, span time.Duration, replicas ...*replica) {
	t.Helper()
	for end := time.Now().Add(span); time.Now().Before(end); {
		time.Sleep(time.Second)
		synctest.Wait()
		for i, r := range replicas {
			if err := m.call(r); err != nil {
				t.Fatalf("call of replica %d at %s: %v\n%s", i, time.Now(), err, &r.log)
			}
		}
	}
}

func (r *replica) shows(t *testing.T, want int) {
	t.Helper()
	if got := r.serving.number; got != want {
		t.Errorf("shows certificate %d, want %d\n%s", got, want, &r.log)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
