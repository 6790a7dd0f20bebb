package webhook

import (
	"net/http"
	"time"
)

// drain turns readiness off first and goes on serving for a while, because
// the API server learns later than the kubelet that this replica ends.
func (s *Server) drain() {
	s.stopping.Store(true)
	s.log.Info("stopping")
	time.Sleep(s.options.Drain)
}

// leaving has clients give up their connections one by one while this replica
// drains: with the answer to a request, when nothing is under way. One that
// stayed open until the end would be closed while the API server may be sending
// the next review on it, which it does not send again.
func (s *Server) leaving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
