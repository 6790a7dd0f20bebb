package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// answers is an API server in memory.
type answers func(r *http.Request) (code int, body io.Reader)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	code, body := a(r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Body: io.NopCloser(body), Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

var things = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "things"}

// mirrorOf mirrors the names of things.
func mirrorOf(t *testing.T, server answers, reduce func(*unstructured.Unstructured) string) *mirror[string] {
	t.Helper()
	up, err := newUpstream(&rest.Config{Host: "http://api.invalid", Transport: server, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMirror(up, things, discard(), reduce)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func nameOf(u *unstructured.Unstructured) string { return u.GetName() }

// hang is a body that says nothing until the request ends.
type hang struct{ ctx context.Context }

func (h hang) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, io.EOF
}

const twoThings = `{"kind":"ThingList","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}`

// lists answers lists, and lets watches hang. Streamed lists it does not know.
func lists(list string) answers {
	return func(r *http.Request) (int, io.Reader) {
		switch query := r.URL.Query(); {
		case query.Get("sendInitialEvents") != "":
			return http.StatusUnprocessableEntity, strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case query.Get("watch") != "":
			return http.StatusOK, hang{r.Context()}
		default:
			return http.StatusOK, strings.NewReader(list)
		}
	}
}

func TestAMirrorIsFilledWhereListsAreNotStreamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mirrorOf(t, lists(twoThings), nameOf)
		if m.ready() == nil {
			t.Error("it is ready before it was filled")
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go m.informer.RunWithContext(ctx)
		time.Sleep(time.Second)
		synctest.Wait()
		if err := m.ready(); err != nil {
			t.Error(err)
		}
		if a, found := m.cached("", "a"); !found || a != "a" || len(m.all()) != 2 {
			t.Errorf("it has %q", m.all())
		}
		stop()
		synctest.Wait()
	})
}

func TestAMirrorThatIsStuckInAnObjectIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		m := mirrorOf(t, lists(twoThings), func(u *unstructured.Unstructured) string {
			if u.GetName() == "slow" {
				<-stuck
			}
			return u.GetName()
		})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go m.informer.RunWithContext(ctx)
		time.Sleep(time.Second)
		synctest.Wait()
		go func() {
			_, _ = m.transform(&unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "slow"}}})
		}()
		time.Sleep(busyLimit)
		if err := m.ready(); err != nil {
			t.Errorf("after %s: %v", busyLimit, err)
		}
		time.Sleep(time.Second)
		if err := m.ready(); err == nil || err.Error() != "things.example.com are behind: one of them has been read for 11s" {
			t.Errorf("error %v", err)
		}
		close(stuck)
		synctest.Wait()
		if err := m.ready(); err != nil {
			t.Error(err)
		}
		stop()
		synctest.Wait()
	})
}

func TestAMirrorOfAResourceThatThereIsNotHasNoAge(t *testing.T) {
	m := mirrorOf(t, nil, nameOf)
	if _, served := m.age(); !served {
		t.Error("a resource that must be there has no age")
	}
	m.optional = true
	m.withheld.Store(true)
	if _, served := m.age(); served {
		t.Error("a resource that there is not has an age")
	}
}

func TestManyWhoWantAFreshListShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		m := mirrorOf(t, func(*http.Request) (int, io.Reader) {
			asked.Add(1)
			time.Sleep(time.Second)
			return http.StatusOK, strings.NewReader(twoThings)
		}, nameOf)
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if got, err := m.liveAll(t.Context()); err != nil || len(got) != 2 {
					t.Errorf("%q, error %v", got, err)
				}
			})
		}
		group.Wait()
		// One that began before the others came, and one for all others.
		if got := asked.Load(); got != 2 {
			t.Errorf("%d lists for 100 who came at a time, want 2", got)
		}
		if _, err := m.liveAll(t.Context()); err != nil || asked.Load() != 3 {
			t.Errorf("%d lists, error %v: one that is old is no answer", asked.Load(), err)
		}
	})
}

func TestFewReadsPastAMirrorAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int32
		m := mirrorOf(t, func(*http.Request) (int, io.Reader) {
			if now := open.Add(1); now > most.Load() {
				most.Store(now)
			}
			time.Sleep(time.Second)
			open.Add(-1)
			return http.StatusOK, strings.NewReader(`{"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"a"}}`)
		}, nameOf)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if _, found, err := m.live(t.Context(), "ns", "a"); err != nil || !found {
					t.Errorf("found %t, error %v", found, err)
				}
			})
		}
		group.Wait()
		if most.Load() != liveReads {
			t.Errorf("%d reads at a time, want %d", most.Load(), liveReads)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := m.live(ended, "ns", "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

func TestCachesSayHowOldTheyAre(t *testing.T) {
	s := serve(t, &memory{})
	if _, metrics := s.get(t, "/metrics"); !strings.Contains(metrics, fmt.Sprintf("\nmultus_ipmgr_cache_age_seconds{resource=%q} 1\n", "namespaces")) {
		t.Errorf("metrics lack the caches' age:\n%s", metrics)
	}
}

func TestACacheThatDoesNotEndDoesNotKeepTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{log: discard()}
		var group sync.WaitGroup
		stuck := make(chan struct{})
		group.Go(func() { <-stuck })
		began := time.Now()
		s.await(&group)
		if took := time.Since(began); took != stopTimeout {
			t.Errorf("it waited %s, want %s", took, stopTimeout)
		}
		close(stuck)
	})
}
