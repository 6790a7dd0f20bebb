package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// Reasons of requests that came to no decision.
const (
	failReview  = "bad-review"         // the request is no review of a pod
	failCluster = "cluster-unreadable" // the namespace could not be read
)

// metrics counts what the webhook did. The zero series of every reason are
// there from the start, so that rates are right from the first admission.
type metrics struct {
	registry *prometheus.Registry
	reasons  map[inject.Reason]prometheus.Counter
	failures map[string]prometheus.Counter
	duration prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		reasons:  map[inject.Reason]prometheus.Counter{},
		failures: map[string]prometheus.Counter{},
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "multus_ipmgr_admission_duration_seconds",
			Help:    "Time from a decoded review to the decision.",
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .01, .1, 1, 10},
		}),
	}
	admissions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "multus_ipmgr_admissions_total",
		Help: "Admission reviews of pods, by decision (patched, skipped, denied, failed) and reason.",
	}, []string{"decision", "reason"})
	for _, reason := range inject.Reasons() {
		m.reasons[reason] = admissions.WithLabelValues(string(reason.Outcome()), string(reason))
	}
	for _, reason := range []string{failReview, failCluster} {
		m.failures[reason] = admissions.WithLabelValues("failed", reason)
	}
	m.registry.MustRegister(admissions, m.duration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// decided counts a decision and the time that it took.
func (m *metrics) decided(reason inject.Reason, took time.Duration) {
	m.reasons[reason].Inc()
	m.duration.Observe(took.Seconds())
}

// failed counts a request without a decision.
func (m *metrics) failed(reason string) { m.failures[reason].Inc() }
