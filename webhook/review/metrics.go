package review

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Reasons of requests that came to no decision.
const (
	failReview  = "bad-review"         // the request is not a review of a pod
	failCluster = "cluster-unreadable" // the namespace could not be read
)

// metrics counts answers. The zero series of every reason are there from the
// start, so that rates are right from the first admission.
type metrics struct {
	all      []prometheus.Collector
	reasons  map[inject.Reason]prometheus.Counter
	failures map[string]prometheus.Counter
	duration prometheus.Histogram
	nads     map[verdict]prometheus.Counter
	late     map[verdict]prometheus.Counter
	findings map[nad.Rule]prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
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
	m.all = append(m.all, admissions, m.duration)
	m.addNADs()
	return m
}

// decided counts a decision and the time that it took.
func (m *metrics) decided(reason inject.Reason, took time.Duration) {
	m.reasons[reason].Inc()
	m.duration.Observe(took.Seconds())
}

// failed counts a request without a decision.
func (m *metrics) failed(reason string) { m.failures[reason].Inc() }

func (m *metrics) addNADs() {
	m.nads, m.findings = map[verdict]prometheus.Counter{}, map[nad.Rule]prometheus.Counter{}
	admissions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "multus_ipmgr_nad_admissions_total",
		Help: "Admission reviews of NetworkAttachmentDefinitions, by decision (admitted, warned, denied, skipped, failed).",
	}, []string{"decision"})
	for _, v := range verdicts() {
		m.nads[v] = admissions.WithLabelValues(string(v))
	}
	found := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "multus_ipmgr_nad_findings_total",
		Help: "Findings in NetworkAttachmentDefinitions at admission, by rule and severity.",
	}, []string{"rule", "severity"})
	for _, rule := range nad.Rules() {
		m.findings[rule] = found.WithLabelValues(string(rule), string(rule.Severity()))
	}
	late := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "multus_ipmgr_late_admissions_total",
		Help: "Reviews of pods and bindings to which nothing can be added any more, by decision (admitted, warned, denied, failed).",
	}, []string{"decision"})
	m.late = map[verdict]prometheus.Counter{}
	for _, v := range []verdict{admitted, warned, denied, failed} {
		m.late[v] = late.WithLabelValues(string(v))
	}
	m.all = append(m.all, admissions, found, late)
}

// judged counts a review of a NAD and what was found.
func (m *metrics) judged(v verdict, findings []nad.Finding) {
	m.nads[v].Inc()
	for _, f := range findings {
		m.findings[f.Rule].Inc()
	}
}
