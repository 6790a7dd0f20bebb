package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Where resources are.
const (
	nadsPath         = "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions"
	reservationsPath = "/apis/multus-ipmgr.io/v1alpha1/reservedcidrs"
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

// hang is a body that says nothing until the request ends.
type hang struct{ ctx context.Context }

func (h hang) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, io.EOF
}

// served are the lists of an API server, by path.
type served map[string]string

func list(version, kind string, items ...string) string {
	return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"resourceVersion":"5"},"items":[%s]}`, version, kind, strings.Join(items, ","))
}

// answer answers lists, and lets watches hang. Streamed lists it does not know.
func (s served) answer(r *http.Request) (int, io.Reader) {
	text, known := s[r.URL.Path]
	switch query := r.URL.Query(); {
	case !known:
		return http.StatusNotFound, strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	case query.Get("sendInitialEvents") != "":
		return http.StatusUnprocessableEntity, strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
	case query.Get("watch") != "":
		return http.StatusOK, hang{r.Context()}
	default:
		return http.StatusOK, strings.NewReader(text)
	}
}

// stalling is answer, but that what is not known is never answered.
func (s served) stalling(r *http.Request) (int, io.Reader) {
	if _, known := s[r.URL.Path]; !known {
		<-r.Context().Done()
	}
	return s.answer(r)
}

// cachesOf returns the caches of an API server, which Start fills.
func cachesOf(t testing.TB, server answers) *cached {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: "http://api.invalid", Transport: server, QPS: -1}
	mapper, err := newMapper(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	feeds := newFeeds(discard())
	options := feeds.options()
	options.Scheme, options.Mapper = scheme, mapper
	caches, err := cache.New(config, options)
	if err != nil {
		t.Fatal(err)
	}
	live, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	return newCached(caches, live, feeds, discard())
}

// follow keeps caches up to date until the test ends.
func follow(t testing.TB, c *cached) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { _ = c.cache.Start(ctx) })
	group.Go(func() { _ = c.Start(ctx) })
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
}

// fill returns the caches of an API server with all that it serves of namespaces
// and NADs.
func fill(t testing.TB, server answers) *cached {
	t.Helper()
	c := cachesOf(t, server)
	follow(t, c)
	for !c.namespaces.complete() || !c.nads.complete() {
		time.Sleep(10 * time.Millisecond)
	}
	return c
}

const ipvlan = `{"metadata":{"namespace":"apps","name":%q},"spec":{"config":"{\"type\":\"ipvlan\",\"ipam\":{\"type\":\"whereabouts\",\"range\":\"10.10.1.64/26\"}}"}}`

func TestCachesAreFilledPageByPageWhereListsAreNotStreamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := served{"/api/v1/namespaces": list("meta.k8s.io/v1", "PartialObjectMetadataList", `{"metadata":{"name":"apps"}}`), nadsPath: "-"}
		c := cachesOf(t, func(r *http.Request) (int, io.Reader) {
			query := r.URL.Query()
			if r.URL.Path != nadsPath || query.Get("watch") != "" {
				return cluster.answer(r)
			}
			page := list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinitionList", fmt.Sprintf(ipvlan, "second"), `{"metadata":{"namespace":"apps","name":"strange"},"spec":{"config":7}}`)
			if query.Get("continue") == "" {
				page = strings.Replace(list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinitionList", fmt.Sprintf(ipvlan, "first")), `"5"`, `"5","continue":"more"`, 1)
			}
			if query.Get("limit") != "10" {
				t.Errorf("a list of %s is asked for", r.URL)
			}
			return http.StatusOK, strings.NewReader(page)
		})
		if c.ready() == nil {
			t.Error("it is ready before it was filled")
		}
		follow(t, c)
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := c.ready(); err != nil {
			t.Error(err) // that there are no ReservedCIDRs does not matter
		}
		for name, unreadable := range map[string]bool{"first": false, "second": false, "strange": true} {
			if got, found := c.CachedNAD("apps", name); !found || (got.Problem != nil) != unreadable {
				t.Errorf("%s: found %t, %+v", name, found, got)
			}
		}
		if _, found := c.CachedNAD("apps", "third"); found {
			t.Error("a NAD that there is not was found")
		}
		if ns, err := c.Namespace(t.Context(), "apps", false); err != nil || ns.Name != "apps" {
			t.Errorf("namespace %+v, error %v", ns, err)
		}
	})
}

func TestManyWhoWantAFreshListShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		c := cachesOf(t, func(*http.Request) (int, io.Reader) {
			asked.Add(1)
			time.Sleep(time.Second)
			return http.StatusOK, strings.NewReader(list("multus-ipmgr.io/v1alpha1", "ReservedCIDRList", `{"metadata":{"name":"a"},"spec":{"cidr":"10.10.1.0/26"}}`, `{"metadata":{"name":"b"},"spec":{"cidr":"10.10.1.64/26"}}`))
		})
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if got, err := c.reservations.liveAll(t.Context()); err != nil || len(got) != 2 {
					t.Errorf("%+v, error %v", got, err)
				}
			})
		}
		group.Wait()
		// One that began before the others came, and one for all others.
		if got := asked.Load(); got != 2 {
			t.Errorf("%d lists for 100 who came at a time, want 2", got)
		}
		if _, err := c.reservations.liveAll(t.Context()); err != nil || asked.Load() != 3 {
			t.Errorf("%d lists, error %v: an old list is not an answer", asked.Load(), err)
		}
	})
}

func TestFewReadsPastTheCacheAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int32
		c := cachesOf(t, func(*http.Request) (int, io.Reader) {
			if now := open.Add(1); now > most.Load() {
				most.Store(now)
			}
			time.Sleep(time.Second)
			open.Add(-1)
			return http.StatusOK, strings.NewReader(`{"kind":"NetworkAttachmentDefinition","apiVersion":"k8s.cni.cncf.io/v1","metadata":{"namespace":"ns","name":"a"}}`)
		})
		var group sync.WaitGroup
		for range 3 * liveReads {
			group.Go(func() {
				if _, found, err := c.LiveNAD(t.Context(), "ns", "a"); err != nil && !errors.Is(err, context.DeadlineExceeded) || err == nil && !found {
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
		if _, _, err := c.LiveNAD(ended, "ns", "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

func TestANetworkIsReducedToWhatItMeans(t *testing.T) {
	n := &network{Spec: networkSpec{config: ranged("10.10.1.64/26")}}
	n.Namespace, n.Name, n.ResourceVersion = "apps", "net", "7"
	n.Annotations, n.ManagedFields = map[string]string{"long": "text"}, nil
	for range 2 { // lists are reduced, and what is stored of them
		if _, err := reduceNetwork(n); err != nil {
			t.Fatal(err)
		}
	}
	want := nad.Read(nad.Definition{Namespace: "apps", Name: "net", Config: ranged("10.10.1.64/26")})
	if got := n.read(); got.Addressed != want.Addressed || n.Spec.config != "" || len(n.Annotations) > 0 || n.ResourceVersion != "7" || n.Name != "net" {
		t.Errorf("kept %+v", n)
	}
}

// A thousand of the largest NADs have to fit into the webhook's 128 MiB. What one
// needs is held in package nad; here, that the cache keeps no more than that.
func TestWhatTheCacheKeepsOfTheLargestNADsIsBounded(t *testing.T) {
	const count = 20
	for name, config := range map[string]func(i int) string{
		"exclusions": func(i int) string {
			var excluded []string
			for j := range nad.MaxExclusions {
				excluded = append(excluded, fmt.Sprintf(`"fd00:%x::%x:1"`, i, j))
			}
			return fmt.Sprintf(`{"type":"ipvlan","ipam":{"type":"whereabouts","range":"fd00:%x::/64","exclude":[%s]}}`, i, strings.Join(excluded, ","))
		},
		"findings": func(i int) string {
			var keys []string
			for j := range 60 {
				keys = append(keys, fmt.Sprintf(`"%s%d":1`, strings.Repeat("x", 2000), j))
			}
			return fmt.Sprintf(`{"type":"ipvlan","ipam":{"type":"whereabouts","range":"fd00:%x::/64",%s}}`, i, strings.Join(keys, ","))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var items []string
			for i := range count {
				items = append(items, fmt.Sprintf(`{"metadata":{"namespace":"apps","name":"net%d"},"spec":{"config":%q}}`, i, config(i)))
			}
			cluster := served{
				"/api/v1/namespaces": list("meta.k8s.io/v1", "PartialObjectMetadataList"),
				nadsPath:             list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinitionList", items...),
			}
			before := heap()
			c := fill(t, cluster.answer)
			if each := (heap() - before) / count; each > 80_000 {
				t.Errorf("each takes %d bytes, want at most 80,000", each)
			}
			if _, found := c.CachedNAD("apps", "net7"); !found {
				t.Error("net7 is not cached")
			}
		})
	}
}

// heap is how many bytes are in use.
func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
