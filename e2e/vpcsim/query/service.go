package query

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/journal"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/outage"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/sigv4"
)

// MaxBody is the size of the largest request, in bytes.
const MaxBody = 1 << 20

// Dialect is one service that speaks the protocol.
type Dialect interface {
	// Health is how the service answers at all.
	Health(settings.Settings) settings.Health
	// Do carries out a request that is signed and hit by no fault.
	Do(Params) (any, error)
	// Encode writes an answer, or the refusal if there is one.
	Encode(action, requestID string, answer any, refusal *apierr.Error) (Answer, error)
}

// Answer is an HTTP answer.
type Answer struct {
	Status              int
	ContentType, Server string
	Body                []byte
}

// Service is what all services have in common: signatures, faults, delays and
// the journal. All fields are required.
type Service struct {
	Settings *settings.Store
	Faults   *chaos.Queue
	Journal  *journal.Journal
	Verifier sigv4.Verifier
	Rand     *rand.Rand
	Now      func() time.Time
	// Sleep waits, or ends early with outage.ErrClosed. The caller going away does not end it: AWS finishes what it has begun.
	Sleep func(time.Duration) error
	// CatchUp carries out what is due in the world.
	CatchUp func()
	// Closing ends requests that hang on purpose.
	Closing <-chan struct{}
}

// Serve answers one request.
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, d Dialect) {
	arrived := s.Now()
	if outage.Handle(w, r, d.Health(s.Settings.Get()), s.Closing) {
		return
	}
	id := UUID(s.Rand)
	body, p, err := read(w, r)
	if err != nil {
		s.write(w, d, "", id, nil, asRefusal(err))
		return
	}
	action := p["Action"]
	end := s.Journal.Begin(action, p.Flat(), arrived)
	fault, answer, err := s.handle(r, body, p, d)
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
		s.write(w, d, action, id, answer, refusal)
	}
}

// Clock is the time as AWS has it.
func (s *Service) Clock() time.Time {
	return s.Now().Add(time.Duration(s.Settings.Get().ClockOffset))
}

// handle is what happens between the arrival of a request and its answer.
func (s *Service) handle(r *http.Request, body []byte, p Params, d Dialect) (chaos.Fault, any, error) {
	if err := s.Verifier.Verify(r, body, s.Clock()); err != nil {
		return chaos.Fault{}, nil, err
	}
	if err := s.Sleep(time.Duration(s.Settings.Get().Latency)); err != nil {
		return chaos.Fault{}, nil, err
	}
	fault, _ := s.Faults.Take(p["Action"])
	if err := s.Sleep(fault.Wait()); err != nil {
		return fault, nil, err
	}
	if refusal := fault.Refusal(); refusal != nil {
		return fault, nil, refusal
	}
	s.CatchUp()
	answer, err := d.Do(p)
	s.CatchUp() // what the request sets off at once has happened when its answer is there
	return fault, answer, err
}

// read returns the body of a request and its parameters, those of a GET
// request's query included.
func read(w http.ResponseWriter, r *http.Request) ([]byte, Params, error) {
	if r.Method != http.MethodPost && r.Method != http.MethodGet {
		return nil, nil, apierr.New("InvalidRequest", "The method %s is not allowed, want POST or GET", r.Method)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
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

// asRefusal turns an error into what AWS answers: an error that is not a
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

// AWS's client closes its request body twice, and net/http gives up the
// connection when the second time comes early, even if the answer is still
// being read. A network hides that; on loopback an answer that does not fit
// into the client's first read (4 KB) breaks off. So large ones take a moment.
const (
	largeAnswer = 3 << 10
	moment      = 2 * time.Millisecond
)

func (s *Service) write(w http.ResponseWriter, d Dialect, action, requestID string, answer any, refusal *apierr.Error) {
	out, err := d.Encode(action, requestID, answer, refusal)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if len(out.Body) > largeAnswer {
		_ = s.Sleep(moment) // a simulator that closes answers at once
	}
	h := w.Header()
	h.Set("Content-Type", out.ContentType)
	if out.Server != "" {
		h.Set("Server", out.Server)
	}
	h.Set("Date", s.Clock().UTC().Format(http.TimeFormat))
	h.Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(out.Status)
	_, _ = w.Write(out.Body) // the caller may be gone
}

// UUID returns a random one, as AWS numbers requests, waits and events.
func UUID(r *rand.Rand) string {
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
