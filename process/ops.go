package process

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many clients read metrics at a time; further ones are told
// to come again.
const maxScrapes = 8

// MaxOpsConnections is how many connections a port of metrics and probes has
// room for.
const MaxOpsConnections = 64

// NewOps returns the handler of /metrics, /healthz and /readyz. ready says why
// the process must not be relied upon now, or nil.
func NewOps(metrics prometheus.Gatherer, ready func() error) http.Handler {
	mux := http.NewServeMux()
	// Compression would cost more memory for each reader than all metrics are.
	mux.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, DisableCompression: true}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { probe(w, nil) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { probe(w, ready()) })
	return mux
}

func probe(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n")) // a probe that went away needs no answer
}
