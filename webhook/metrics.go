package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/multus-ipmgr/multus-ipmgr/process/door"
)

// metrics shows how the webhook is. Package review counts what it answers.
type metrics struct {
	registry *prometheus.Registry
	expiry   *prometheus.GaugeVec // without labels: no series while no certificate is served
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.expiry = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "multus_ipmgr_webhook_certificate_expiry_timestamp_seconds",
		Help: "When the serving certificate ends, in seconds since 1970. There is no series while none is served.",
	}, nil)
	m.registry.MustRegister(m.expiry)
	return m
}

// watchDoor shows what passes the gate of the admission port.
func (m *metrics) watchDoor(gate *door.Gate) {
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

// serves says when the certificate ends that is served from now on.
func (m *metrics) serves(until time.Time) {
	m.expiry.WithLabelValues().Set(float64(until.Unix()))
}
