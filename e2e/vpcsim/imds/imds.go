// Package imds is the instance metadata service, version 2 (and 1 where an
// instance allows it), as it is seen from one worker or from a pod on it.
package imds

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/credentials"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/outage"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// How far a caller is from the metadata service. The answer to a token request
// travels no further than the instance's hop limit.
const (
	// HostHops is the worker itself, and pods in its network namespace.
	HostHops = 1
	// PodHops is a pod with a network namespace of its own.
	PodHops = 2
)

// The headers of IMDSv2.
const (
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
)

// Config is what the service needs. All fields are required.
type Config struct {
	World       *world.World
	Settings    *settings.Store
	Faults      *chaos.Queue
	Credentials *credentials.Store
	Rand        *rand.Rand
	Now         func() time.Time
	// Target is the state that Auto Scaling wants an instance in, or "".
	Target func(instance string) string
	// Sleep waits, or ends early with outage.ErrClosed.
	Sleep func(time.Duration) error
	// Closing ends requests that hang on purpose.
	Closing <-chan struct{}
}

// Service answers for all instances.
type Service struct {
	Config
	tokens tokens

	mu     sync.Mutex
	counts map[string]Counts
}

// Counts is how many requests of each kind have arrived for one instance.
type Counts struct {
	Token int `json:"token"`
	Get   int `json:"get"`
}

// New returns a service.
func New(c Config) *Service {
	return &Service{Config: c, tokens: newTokens(c.Rand), counts: map[string]Counts{}}
}

// Handler returns the service as a caller some hops away from an instance sees
// it. The error says that the instance does not exist.
func (s *Service) Handler(instance string, hops int) (http.Handler, error) {
	if _, err := s.World.Instance(instance); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, instance, hops) }), nil
}

// Counts returns the requests so far by instance.
func (s *Service) Counts() map[string]Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Reset forgets the counts.
func (s *Service) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.counts)
}

func (s *Service) count(instance string, token bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[instance]
	if token {
		c.Token++
	} else {
		c.Get++
	}
	s.counts[instance] = c
}

// clock is the time as AWS has it.
func (s *Service) clock() time.Time {
	return s.Now().Add(time.Duration(s.Settings.Get().ClockOffset))
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request, instance string, hops int) {
	s.count(instance, r.Method == http.MethodPut)
	w.Header().Set("Server", "EC2ws")
	w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
	if outage.Handle(w, r, s.Settings.Get().IMDS, s.Closing) {
		return
	}
	fault, _ := s.Faults.Take(chaos.IMDS)
	if err := s.Sleep(time.Duration(s.Settings.Get().IMDSLatency) + fault.Wait()); err != nil || fault.Lose {
		outage.Cut(w)
		return
	}
	if refusal := fault.Refusal(); refusal != nil {
		refuse(w, refusal.Status)
		return
	}
	in, err := s.World.Instance(instance)
	switch {
	case err != nil:
		refuse(w, http.StatusNotFound)
	case in.State != topology.Running && in.State != topology.Pending: // a guest boots before EC2 says that it runs
		outage.Hang(w, r, s.Closing) // nobody is there to ask
	case r.Method == http.MethodPut && hops > in.Metadata.HopLimit:
		outage.Hang(w, r, s.Closing) // the answer's TTL ends on the way
	case in.Metadata.Disabled:
		refuse(w, http.StatusForbidden)
	default:
		s.dispatch(w, r, in)
	}
}

// The token's path in all API versions, and the one that serves.
const (
	anyToken    = "/api/token"
	latestToken = "/latest" + anyToken
)

func (s *Service) dispatch(w http.ResponseWriter, r *http.Request, in world.Instance) {
	isToken := strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), anyToken)
	switch r.Method {
	case http.MethodPut:
		if !isToken {
			refuse(w, http.StatusMethodNotAllowed)
			return
		}
		if r.URL.Path != latestToken && !s.admitted(r, in) {
			refuse(w, http.StatusUnauthorized)
			return
		}
		s.issue(w, r, in.ID)
	case http.MethodGet, http.MethodHead:
		if isToken {
			refuse(w, http.StatusMethodNotAllowed)
			return
		}
		s.get(w, r, in)
	case http.MethodOptions:
		w.Header().Set("Allow", "OPTIONS, HEAD, GET")
		w.WriteHeader(http.StatusOK)
	default:
		refuse(w, http.StatusMethodNotAllowed)
	}
}

// issue answers a request for a session token.
func (s *Service) issue(w http.ResponseWriter, r *http.Request, instance string) {
	if r.URL.Path != latestToken || r.Header.Get("X-Forwarded-For") != "" {
		refuse(w, http.StatusForbidden)
		return
	}
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || ttl < 1 || ttl > 21600 {
		refuse(w, http.StatusBadRequest)
		return
	}
	token := s.tokens.issue(instance, s.Now().Add(time.Duration(ttl)*time.Second))
	w.Header().Set(ttlHeader, strconv.Itoa(ttl))
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(token)) // the caller may be gone
}

// admitted reports whether a request has the token that it needs.
func (s *Service) admitted(r *http.Request, in world.Instance) bool {
	token := r.Header.Get(tokenHeader)
	return token == "" && in.Metadata.TokensOptional || s.tokens.valid(token, in.ID, s.Now())
}

func (s *Service) get(w http.ResponseWriter, r *http.Request, in world.Instance) {
	if !s.admitted(r, in) {
		refuse(w, http.StatusUnauthorized)
		return
	}
	text, ok := s.lookup(in, r.URL.Path)
	if !ok {
		refuse(w, http.StatusNotFound)
		return
	}
	if s.Settings.Get().IMDSTrailingNewline && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte(text)) // the caller may be gone
	}
}

// refuse answers with a status and the HTML page that the real service sends. A
// request without a token gets no page.
func refuse(w http.ResponseWriter, status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
		return
	}
	title := strconv.Itoa(status) + " - " + http.StatusText(status)
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>` + title + `</title>
 </head>
 <body>
  <h1>` + title + `</h1>
 </body>
</html>
`))
}
