package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the controller asks of EC2.
type metrics struct {
	registry  *prometheus.Registry
	calls     *prometheus.CounterVec
	throttles *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "multus_ipmgr_ec2_calls_total",
			Help: "EC2 calls, by action and code: ok, an AWS error code, or Unreachable.",
		}, []string{"action", "code"}),
		throttles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "multus_ipmgr_ec2_throttles_total",
			Help: "EC2 calls that were throttled, by action.",
		}, []string{"action"}),
	}
	m.registry.MustRegister(m.calls, m.throttles)
	return m
}

// observe counts one EC2 call.
func (m *metrics) observe(action, code string, throttled bool, _ time.Duration) {
	m.calls.WithLabelValues(action, code).Inc()
	counter := m.throttles.WithLabelValues(action) // from zero on
	if throttled {
		counter.Inc()
	}
}
