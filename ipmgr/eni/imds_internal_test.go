package eni

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/google/go-cmp/cmp"
)

// service is an IMDS that a bubble of testing/synctest can wait for.
type service struct {
	conns chan net.Conn

	mu       sync.Mutex
	values   map[string]string
	token    string
	hang     bool // token requests get no answer
	refuse   int  // token requests get this status
	requests []string
}

func newService(t *testing.T, values map[string]string) *service {
	t.Helper()
	s := &service{conns: make(chan net.Conn), values: values, token: "token-1"}
	server := &http.Server{Handler: s}
	var done sync.WaitGroup
	done.Go(func() { server.Serve(s) }) //nolint:errcheck // ends with the test
	t.Cleanup(func() { server.Close(); done.Wait() })
	return s
}

// Accept, Close and Addr make the service a listener of in-memory connections.
func (s *service) Accept() (net.Conn, error) {
	if conn, ok := <-s.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (s *service) Close() error   { close(s.conns); return nil }
func (s *service) Addr() net.Addr { return &net.TCPAddr{} }

func (s *service) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case s.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	hang, refuse, token, values := s.hang, s.refuse, s.token, s.values
	s.mu.Unlock()
	switch {
	case r.Method == http.MethodPut && hang:
		<-r.Context().Done()
	case r.Method == http.MethodPut && refuse != 0:
		w.WriteHeader(refuse)
	case r.Method == http.MethodPut:
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"))
		fmt.Fprint(w, token)
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") != token:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		value, ok := values[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, value)
	}
}

func (s *service) set(change func(*service)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *service) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.requests
	s.requests = nil
	return seen
}

// asking is what a client of the service is made of.
type asking struct {
	transport *http.Transport
	disabled  bool
	reprobe   time.Duration
}

func newClient(t *testing.T, s *service, change func(*asking)) *metadataService {
	t.Helper()
	a := asking{transport: &http.Transport{DialContext: s.dial}, reprobe: time.Hour}
	if change != nil {
		change(&a)
	}
	t.Cleanup(a.transport.CloseIdleConnections)
	settings := awsconfig.EnvConfig{EC2IMDSEndpoint: "http://imds/"}
	if a.disabled {
		settings.EC2IMDSClientEnableState = imds.ClientDisabled
	}
	return newMetadataService(aws.Config{ConfigSources: []any{settings}}, &http.Client{Transport: a.transport}, a.reprobe, time.Now)
}

const (
	tokenPath = "/latest/api/token"
	regionGet = "GET /latest/meta-data/placement/region"
	tokenPut  = "PUT " + tokenPath
)

func regions() map[string]string {
	return map[string]string{"/latest/meta-data/placement/region": "us-west-2\n"}
}

func TestOneTokenServesManyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, regions())
		c := newClient(t, s, nil)
		for range 2 {
			if got, err := c.get(t.Context(), "placement/region"); err != nil || got != "us-west-2" {
				t.Errorf("region %q and error %v, want us-west-2", got, err)
			}
		}
		if diff := cmp.Diff([]string{tokenPut, regionGet, regionGet}, s.seen()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, regions())
		c := newClient(t, s, nil)
		for range 2 {
			if _, err := c.get(t.Context(), "placement/region"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(6*time.Hour - time.Minute)
		}
		if diff := cmp.Diff([]string{tokenPut, regionGet, tokenPut, regionGet}, s.seen()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestTokenThatEndedEarlyIsReplacedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, regions())
		c := newClient(t, s, nil)
		if _, err := c.get(t.Context(), "placement/region"); err != nil {
			t.Fatal(err)
		}
		s.set(func(s *service) { s.token = "token-2" })
		s.seen()
		if got, err := c.get(t.Context(), "placement/region"); err != nil || got != "us-west-2" {
			t.Errorf("region %q and error %v, want us-west-2", got, err)
		}
		if diff := cmp.Diff([]string{regionGet, tokenPut, regionGet}, s.seen()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestHopLimitCostsThePatienceOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, regions())
		s.hang = true
		c := newClient(t, s, nil)
		start := time.Now()
		for range 3 {
			if _, err := c.get(t.Context(), "placement/region"); !errors.Is(err, errUnavailable) {
				t.Errorf("error %v, want errUnavailable", err)
			}
		}
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("finding out took %v, want 500ms", took)
		}
		if diff := cmp.Diff([]string{tokenPut}, s.seen()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}

		s.set(func(s *service) { s.hang = false })
		time.Sleep(time.Hour)
		if _, err := c.get(t.Context(), "placement/region"); err != nil {
			t.Errorf("an hour later: %v, want a new attempt that succeeds", err)
		}
	})
}

// In real time: the SDK's readers wait for its token by a mutex, which stops the
// time of a bubble.
func TestManyReadersWaitForOneToken(t *testing.T) {
	t.Parallel()
	s := newService(t, regions())
	s.hang = true
	c := newClient(t, s, nil)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			if _, err := c.get(t.Context(), "placement/region"); !errors.Is(err, errUnavailable) {
				t.Errorf("error %v, want errUnavailable", err)
			}
		})
	}
	readers.Wait()
	if diff := cmp.Diff([]string{tokenPut}, s.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestWithoutReprobeEachCallAsksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, regions())
		s.hang = true
		c := newClient(t, s, func(a *asking) { a.reprobe = 0 })
		if _, err := c.get(t.Context(), "placement/region"); !errors.Is(err, errUnavailable) {
			t.Errorf("error %v, want errUnavailable", err)
		}
		s.set(func(s *service) { s.hang = false })
		if _, err := c.get(t.Context(), "placement/region"); err != nil {
			t.Errorf("error %v, want a new attempt that succeeds", err)
		}
	})
}

func TestAServiceThatAnsweredOnceIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, regions())
		c := newClient(t, s, nil)
		if _, err := c.get(t.Context(), "placement/region"); err != nil {
			t.Fatal(err)
		}
		s.set(func(s *service) { s.refuse, s.token = http.StatusServiceUnavailable, "token-2" })
		if _, err := c.get(t.Context(), "placement/region"); !errors.Is(err, errUnavailable) {
			t.Errorf("error %v, want errUnavailable", err)
		}
		s.set(func(s *service) { s.refuse = 0 })
		if _, err := c.get(t.Context(), "placement/region"); err != nil {
			t.Errorf("error %v, want a new attempt that succeeds", err)
		}
	})
}

func TestACallerThatGivesUpSaysNothingOfTheService(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, regions())
		s.hang = true
		c := newClient(t, s, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := c.get(ctx, "placement/region"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the caller's deadline", err)
		}
		s.set(func(s *service) { s.hang = false })
		if _, err := c.get(t.Context(), "placement/region"); err != nil {
			t.Errorf("error %v, want success: the service was not found wanting", err)
		}
	})
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*service, *asking){
		"the service is off for the instance":      func(s *service, _ *asking) { s.refuse = http.StatusForbidden },
		"the endpoint knows no tokens":             func(s *service, _ *asking) { s.refuse = http.StatusNotFound },
		"the request is refused":                   func(s *service, _ *asking) { s.refuse = http.StatusBadRequest },
		"the token is empty":                       func(s *service, _ *asking) { s.token = "" },
		"AWS_EC2_METADATA_DISABLED":                func(_ *service, a *asking) { a.disabled = true },
		"the endpoint refuses connections at once": func(_ *service, a *asking) { a.transport.DialContext = refusing },
	}
	for name, arrange := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, regions())
				c := newClient(t, s, func(a *asking) { arrange(s, a) })
				if _, err := c.get(t.Context(), "placement/region"); !errors.Is(err, errUnavailable) {
					t.Errorf("error %v, want errUnavailable", err)
				}
			})
		})
	}
}

// refusing cannot connect.
func refusing(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("connection refused")
}

func TestValues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, map[string]string{
			"/latest/meta-data/network/interfaces/macs/": "02:00:00:00:01:00/\n02:00:00:00:01:01/",
			"/latest/meta-data/empty":                    "",
		})
		c := newClient(t, s, nil)
		got, err := c.list(t.Context(), "network/interfaces/macs/")
		if diff := cmp.Diff([]string{"02:00:00:00:01:00", "02:00:00:00:01:01"}, got); diff != "" || err != nil {
			t.Errorf("directory (-want +got):\n%s\nerror %v", diff, err)
		}
		if got, err := c.list(t.Context(), "empty"); len(got) != 0 || err != nil {
			t.Errorf("empty value %q and error %v, want neither", got, err)
		}
		if _, err := c.list(t.Context(), "missing"); !errors.Is(err, errNotFound) {
			t.Errorf("error %v, want errNotFound", err)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add("a/\nb\r\n\n c ")
	f.Fuzz(func(t *testing.T, value string) {
		for _, item := range lines(value) {
			if item == "" {
				t.Errorf("empty item in %q", value)
			}
		}
	})
}
