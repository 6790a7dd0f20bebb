package process

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/multus-ipmgr/multus-ipmgr/process/door"
)

// StopTimeout is how long requests that are under way may take to end: as long
// as an API server waits for the answer to a review.
const StopTimeout = 10 * time.Second

// maxScrapes is how many clients read metrics at a time; further ones are told
// to come again.
const maxScrapes = 8

// MaxOpsConnections is how many connections a port of metrics and probes has
// room for.
const MaxOpsConnections = 64

// Ops serves metrics, with controller-runtime's beside a program's own, and
// probes. A manager runs it on every replica. The manager's own servers are two,
// and bound no connections.
func Ops(listener net.Listener, own prometheus.Gatherer, ready func() error, log *slog.Logger) *manager.Server {
	server := door.NewServer(NewOps(prometheus.Gatherers{own, ctrlmetrics.Registry}, ready), log)
	return Runnable("ops", server, door.NewGate(MaxOpsConnections).Guard(server, listener))
}

// Runnable has a manager run a server, on every replica.
func Runnable(name string, server *http.Server, listener net.Listener) *manager.Server {
	timeout := StopTimeout
	return &manager.Server{Name: name, Server: server, Listener: listener, ShutdownTimeout: &timeout}
}

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
