// Package ec2api is the wire protocol of EC2: the Query API over HTTP with its
// signatures, throttling, paging, filters and XML. What the requests do is
// decided by package world.
package ec2api

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/journal"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/outage"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/sigv4"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/throttle"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// Version is the API version that is spoken.
const Version = "2016-11-15"

// maxBody is the size of the largest request, in bytes.
const maxBody = 1 << 20

// API serves the EC2 Query API. All fields are required.
type API struct {
	World    *world.World
	Settings *settings.Store
	Faults   *chaos.Queue
	Journal  *journal.Journal
	Buckets  *throttle.Buckets
	Verifier sigv4.Verifier
	Rand     *rand.Rand
	Now      func() time.Time
	// Sleep waits, or ends early with outage.ErrClosed. The caller going away does not end it: EC2 finishes what it has begun.
	Sleep func(time.Duration) error
	// Closing ends requests that hang on purpose.
	Closing <-chan struct{}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := a.Now()
	if outage.Handle(w, r, a.Settings.Get().EC2, a.Closing) {
		return
	}
	id := a.requestID()
	body, p, err := read(w, r)
	if err != nil {
		a.write(w, "", id, nil, asRefusal(err))
		return
	}
	action := p["Action"]
	end := a.Journal.Begin(action, p.Flat(), arrived)
	fault, answer, err := a.handle(r, body, p)
	refusal := asRefusal(err)
	if refusal != nil {
		end(refusal.Code)
	} else {
		end(journal.OK)
	}
	switch {
	case errors.Is(err, outage.ErrClosed), fault.Lose:
		outage.Cut(w)
	default:
		a.write(w, action, id, answer, refusal)
	}
}

// clock is the time as AWS has it.
func (a *API) clock() time.Time { return a.Now().Add(time.Duration(a.Settings.Get().ClockOffset)) }

// handle is what happens between the arrival of a request and its answer.
func (a *API) handle(r *http.Request, body []byte, p Params) (chaos.Fault, reply, error) {
	action := p["Action"]
	if err := a.Verifier.Verify(r, body, a.clock()); err != nil {
		return chaos.Fault{}, nil, err
	}
	if err := a.Sleep(time.Duration(a.Settings.Get().Latency)); err != nil {
		return chaos.Fault{}, nil, err
	}
	fault, _ := a.Faults.Take(action)
	if err := a.Sleep(fault.Wait()); err != nil {
		return fault, nil, err
	}
	if refusal := fault.Refusal(); refusal != nil {
		return fault, nil, refusal
	}
	if err := a.throttle(p); err != nil {
		return fault, nil, err
	}
	answer, err := a.run(action, p)
	return fault, answer, err
}

// throttle takes a token from the bucket of the request.
func (a *API) throttle(p Params) error {
	s := a.Settings.Get()
	key := throttle.Key{Action: p["Action"], Unbound: unbound(p)}
	if !s.Throttle || a.Buckets.Take(key, a.Now()) {
		return nil
	}
	text := "Request limit exceeded."
	if s.ThrottleNamesAction {
		text += " Account " + a.World.Account + " has been throttled on ec2:" + p["Action"] +
			" because it exceeded its request rate limit."
	}
	return apierr.New("RequestLimitExceeded", "%s", text)
}

// unbound reports whether a Describe call neither filters nor pages.
func unbound(p Params) bool {
	_, paged := p["MaxResults"]
	return !paged && len(p.Each("Filter")) == 0 && len(p.List("NetworkInterfaceId")) == 0 && len(p.List("InstanceId")) == 0
}

// run checks what all actions have in common and then lets the action run.
func (a *API) run(name string, p Params) (reply, error) {
	act, known := actions()[name]
	switch {
	case name == "":
		return nil, apierr.New("MissingAction", "The request is missing an action or a required parameter.")
	case !known:
		return nil, apierr.New("InvalidAction", "The action %s is not valid for this web service.", name)
	case p["Version"] != "" && p["Version"] != Version:
		return nil, apierr.New("NoSuchVersion", "The requested version (%s) of service AmazonEC2 does not exist", p["Version"])
	}
	if deny := a.Settings.Get().Deny; slices.Contains(deny, name) || slices.Contains(deny, chaos.Any) {
		return nil, apierr.New("UnauthorizedOperation", "You are not authorized to perform this operation. "+
			"Encoded authorization failure message: c2ltdWxhdGVk")
	}
	if act.dryRun {
		if dry, err := p.Is("DryRun"); err != nil || dry {
			return nil, orDryRun(err)
		}
	}
	if err := act.recognise(p); err != nil {
		return nil, err
	}
	return act.run(a, p)
}

// orDryRun is EC2's answer to an authorised dry run: it does not look at the
// rest of the request.
func orDryRun(err error) error {
	if err != nil {
		return err
	}
	return apierr.New("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
}

// read returns the body of a request and its parameters, those of a GET
// request's query included.
func read(w http.ResponseWriter, r *http.Request) ([]byte, Params, error) {
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		return nil, nil, apierr.New("InvalidRequest", "The method %s is not allowed, want POST or GET", r.Method)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, nil, apierr.New("InvalidRequest", "The request body could not be read: %s", err)
	}
	form := string(body)
	if q := r.URL.RawQuery; q != "" && form != "" {
		form += "&" + q
	} else if q != "" {
		form = q
	}
	p, err := ParseQuery(form)
	return body, p, err
}

// asRefusal turns an error into what EC2 answers: an error that is not a
// refusal is the simulator's own fault.
func asRefusal(err error) *apierr.Error {
	var refusal *apierr.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return refusal
	default:
		return apierr.New("InternalError", "%s", err)
	}
}

func (a *API) requestID() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(a.Rand.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
