package lambdasim

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// api is the runtime API of one process.
func (s *sandbox) api() http.Handler {
	mux := http.NewServeMux()
	const runtime = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+runtime+"invocation/next", s.serveNext)
	mux.HandleFunc("POST "+runtime+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { s.serveAnswer(w, r, false) })
	mux.HandleFunc("POST "+runtime+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { s.serveAnswer(w, r, true) })
	mux.HandleFunc("POST "+runtime+"init/error", func(w http.ResponseWriter, r *http.Request) { s.serveAnswer(w, r, true) })
	return mux
}

// serveNext answers once there is an invocation.
func (s *sandbox) serveNext(w http.ResponseWriter, r *http.Request) {
	select {
	case s.asked <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	select {
	case i := <-s.work:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", i.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(s.function.Timeout).UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-west-2:123456789012:function:"+functionName)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0")
		_, _ = w.Write(i.event) // a process that died is noticed elsewhere
	case <-r.Context().Done():
	}
}

func (s *sandbox) serveAnswer(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxAnswer))
	if err != nil {
		body, failed = []byte("the answer cannot be read: "+err.Error()), true
	}
	select {
	case s.answers <- answer{r.PathValue("id"), failed, body}:
	case <-r.Context().Done():
		return
	case <-s.function.ctx.Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte(`{"status":"OK"}`)) // the caller may be gone
}

// ServeHTTP takes events by POST, so that vpcsim --events can send them here.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "want POST", http.StatusMethodNotAllowed)
		return
	}
	event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxEvent+1))
	if err == nil && len(event) <= MaxEvent {
		if err = f.Invoke(event); err == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		http.Error(w, err.Error(), http.StatusTooManyRequests)
		return
	}
	http.Error(w, "the event is too large, or cannot be read", http.StatusRequestEntityTooLarge)
}
