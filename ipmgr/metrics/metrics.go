// Package metrics shows what ipmgr knows and does in Prometheus's text format.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr"
)

const (
	readTimeout     = 5 * time.Second
	shutdownTimeout = 100 * time.Millisecond
)

// Metrics counts EC2 calls and renders them with the manager's status.
type Metrics struct {
	calls  *metrics.Set
	status func() ipmgr.Status
}

// New returns metrics that read the manager's status through status.
func New(status func() ipmgr.Status) *Metrics {
	return &Metrics{calls: metrics.NewSet(), status: status}
}

// Observe counts one EC2 call: its action, "ok" or the error code, whether EC2
// throttled it, and how long it took.
func (m *Metrics) Observe(action, code string, throttled bool, took time.Duration) {
	labels := fmt.Sprintf("{action=%q,code=%q}", action, code)
	m.calls.GetOrCreateCounter("multus_ipmgr_ec2_calls_total" + labels).Inc()
	m.calls.GetOrCreateFloatCounter("multus_ipmgr_ec2_call_seconds_total" + labels).Add(took.Seconds())
	throttles := m.calls.GetOrCreateCounter(fmt.Sprintf("multus_ipmgr_ec2_throttles_total{action=%q}", action)) // from zero on
	if throttled {
		throttles.Inc()
	}
}

// Write renders all metrics.
func (m *Metrics) Write(w io.Writer) {
	s := m.status()
	ready := uint64(0)
	if s.Err == nil {
		ready = 1
	}
	metrics.WriteGaugeUint64(w, "multus_ipmgr_ready", ready)
	for _, a := range s.Addresses {
		labels := fmt.Sprintf("{address=%q,interface=%q,eni=%q", a.Addr, a.Interface, a.ENI)
		metrics.WriteGaugeUint64(w, fmt.Sprintf("multus_ipmgr_address%s,state=%q}", labels, a.State), 1)
		metrics.WriteGaugeUint64(w, "multus_ipmgr_address_contested"+labels+"}", uint64(max(a.Contests, 0)))
		if a.Taker.ENI != "" {
			metrics.WriteGaugeUint64(w, fmt.Sprintf("multus_ipmgr_address_taken_by%s,taker=%q,taker_instance=%q}", labels, a.Taker.ENI, a.Taker.Instance), 1)
		}
	}
	metrics.WriteCounterUint64(w, "multus_ipmgr_assigned_total", uint64(max(s.Claims, 0)))
	metrics.WriteCounterUint64(w, "multus_ipmgr_assign_failures_total", uint64(max(s.Failures, 0)))
	metrics.WriteCounterUint64(w, "multus_ipmgr_lost_total", uint64(max(s.Losses, 0)))
	metrics.WriteCounterUint64(w, "multus_ipmgr_taken_over_total", uint64(max(s.TakeOvers, 0)))
	metrics.WriteCounterUint64(w, "multus_ipmgr_released_total", uint64(max(s.Releases, 0)))
	m.calls.WritePrometheus(w)
}

// Serve answers GET /metrics on address until ctx ends.
func (m *Metrics) Serve(ctx context.Context, address string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serving metrics on %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		m.Write(w)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: readTimeout}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics on %s: %w", address, err)
	}
	return nil
}
