package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/multus-ipmgr/multus-ipmgr/process"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Reasons of requests that came to no decision.
const (
	failReview  = "bad-review"         // the request is not a review of a pod
	failCluster = "cluster-unreadable" // the namespace could not be read
)

// metrics counts what the webhook did. The zero series of every reason are
// there from the start, so that rates are right from the first admission.
type metrics struct {
	registry *prometheus.Registry
	reasons  map[inject.Reason]prometheus.Counter
	failures map[string]prometheus.Counter
	duration prometheus.Histogram
	nads     map[verdict]prometheus.Counter
	late     map[verdict]prometheus.Counter
	findings map[nad.Rule]prometheus.Counter
	expiry   *prometheus.GaugeVec // without labels: no series while no certificate is served
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
	m.expiry = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "multus_ipmgr_webhook_certificate_expiry_timestamp_seconds",
		Help: "When the serving certificate ends, in seconds since 1970. There is no series while none is served.",
	}, nil)
	m.registerNADs()
	m.registry.MustRegister(admissions, m.duration, m.expiry)
	return m
}

// watchDoor shows what passes the gate of the admission port.
func (m *metrics) watchDoor(gate *process.Gate) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "multus_ipmgr_webhook_connections",
			Help: "Open connections of the admission port.",
		}, func() float64 {
			open, _ := gate.Open()
			return float64(open)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "multus_ipmgr_webhook_connections_shut_total",
			Help: "Connections of the admission port that were closed because there were too many: idle and slow ones first.",
		}, func() float64 {
			_, shut := gate.Open()
			return float64(shut)
		}))
}

// watchSpelling shows how many namespaces have misspelt keys.
func (m *metrics) watchSpelling(misspelt func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "multus_ipmgr_misspelt_namespaces",
		Help: "Namespaces with a label or an annotation that looks like one of ours and has no meaning. The log names them.",
	}, func() float64 { return float64(misspelt()) }))
}

// decided counts a decision and the time that it took.
func (m *metrics) decided(reason inject.Reason, took time.Duration) {
	m.reasons[reason].Inc()
	m.duration.Observe(took.Seconds())
}

// serves says when the certificate ends that is served from now on.
func (m *metrics) serves(until time.Time) {
	m.expiry.WithLabelValues().Set(float64(until.Unix()))
}

// failed counts a request without a decision.
func (m *metrics) failed(reason string) { m.failures[reason].Inc() }

func (m *metrics) registerNADs() {
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
	m.registry.MustRegister(admissions, found, late)
}

// judged counts a review of a NAD and what was found.
func (m *metrics) judged(v verdict, findings []nad.Finding) {
	m.nads[v].Inc()
	for _, f := range findings {
		m.findings[f.Rule].Inc()
	}
}
