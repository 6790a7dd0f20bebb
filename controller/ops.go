package controller

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/multus-ipmgr/multus-ipmgr/process"
)

const stopTimeout = 5 * time.Second

// ops serves metrics and probes, on every replica.
type ops struct {
	listener net.Listener
	metrics  *metrics
	ready    func() error
	log      *slog.Logger
}

// NeedLeaderElection tells the manager that a replica in waiting serves too.
func (*ops) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (o *ops) Start(ctx context.Context) error {
	all := prometheus.Gatherers{o.metrics.registry, ctrlmetrics.Registry} // the second is of work queues and leases
	server := process.NewServer(process.NewOps(all, o.ready), o.log)
	listener := process.NewGate(process.MaxOpsConnections).Guard(server, o.listener)
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	return <-stopped
}
