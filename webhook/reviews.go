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
	return newReviews(newEntrance(), cluster, policy, newMetrics(), log)
}

func newReviews(e entrance, cluster Cluster, policy inject.Policy, m *metrics, log *slog.Logger) *http.ServeMux {
	mux := http.NewServeMux()
	pods := podHandler{cluster: cluster, policy: policy, metrics: m, log: log}
	mux.Handle(PodPath, newPodHandler(e, &pods))
	mux.Handle(LatePath, newLateHandler(e, &lateHandler{pods}))
	mux.Handle(NADPath, newNADHandler(e, &nadHandler{cluster: cluster, policy: policy, metrics: m, log: log}))
	return mux
}
