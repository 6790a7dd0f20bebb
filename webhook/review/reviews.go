// Package review answers admission reviews of pods, bindings and
// NetworkAttachmentDefinitions over HTTP. It knows no Kubernetes client: what a
// decision needs to know of the cluster it asks a [Cluster].
//
// One request takes this way: HTTP (http.go), decode once (review.go), decide
// (pods.go and late.go, which ask package inject; nads.go, which asks package
// nad), answer.
package review

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/multus-ipmgr/multus-ipmgr/process/door"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// Reviews answers reviews at their paths ([PodPath], [LatePath], [NADPath]). It
// has no listener, no certificate and no caches, and is a collector of metrics.
type Reviews struct {
	entrance entrance
	metrics  *metrics
	handlers map[string]http.Handler
}

// New returns what answers by the policy and by what the cluster says.
func New(cluster Cluster, policy inject.Policy, log *slog.Logger) *Reviews {
	e, m := newEntrance(), newMetrics()
	pods := podHandler{cluster: cluster, policy: policy, metrics: m, log: log}
	return &Reviews{entrance: e, metrics: m, handlers: map[string]http.Handler{
		PodPath:  newPodHandler(e, &pods),
		LatePath: newLateHandler(e, &lateHandler{pods}),
		NADPath:  newNADHandler(e, &nadHandler{cluster: cluster, policy: policy, metrics: m, log: log}),
	}}
}

// Handlers returns the handlers by their paths.
func (r *Reviews) Handlers() map[string]http.Handler { return r.handlers }

// Gate is what the connections of a server of the handlers must pass, so that
// none is closed whose review is being answered.
func (r *Reviews) Gate() *door.Gate { return r.entrance.gate }

// ServeHTTP answers a review for a caller without a server.
func (r *Reviews) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	handler, ok := r.handlers[request.URL.Path]
	if !ok {
		http.NotFound(w, request)
		return
	}
	handler.ServeHTTP(w, request)
}

// Describe implements prometheus.Collector.
func (r *Reviews) Describe(descriptions chan<- *prometheus.Desc) {
	for _, c := range r.metrics.all {
		c.Describe(descriptions)
	}
}

// Collect implements prometheus.Collector.
func (r *Reviews) Collect(samples chan<- prometheus.Metric) {
	for _, c := range r.metrics.all {
		c.Collect(samples)
	}
}
