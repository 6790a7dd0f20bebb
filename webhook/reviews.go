package webhook

import (
	"log/slog"
	"net/http"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// NewReviews answers admission reviews at their paths ([PodPath], [LatePath],
// [NADPath]) as the webhook does, for a caller that brings its own cluster and
// its own way to call it: it has no listener, no certificate and no caches.
func NewReviews(cluster Cluster, policy inject.Policy, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	for path, handler := range newReviews(newEntrance(), cluster, policy, newMetrics(), log) {
		mux.Handle(path, handler)
	}
	return mux
}

// newReviews returns the handlers by their paths.
func newReviews(e entrance, cluster Cluster, policy inject.Policy, m *metrics, log *slog.Logger) map[string]http.Handler {
	pods := podHandler{cluster: cluster, policy: policy, metrics: m, log: log}
	return map[string]http.Handler{
		PodPath:  newPodHandler(e, &pods),
		LatePath: newLateHandler(e, &lateHandler{pods}),
		NADPath:  newNADHandler(e, &nadHandler{cluster: cluster, policy: policy, metrics: m, log: log}),
	}
}
