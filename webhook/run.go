package webhook

import (
	"context"
	"log/slog"

	"k8s.io/klog/v2"

	"github.com/multus-ipmgr/multus-ipmgr/process"
)

// Run connects to the cluster that options name and serves until ctx ends.
func Run(ctx context.Context, options Options, log *slog.Logger) error {
	klog.SetSlogLogger(log.With("component", "client-go"))
	process.LimitMemory(ctx, log)
	config, err := process.Connect(options.Kubeconfig)
	if err != nil {
		return err
	}
	// Reads that go past the caches are few, unless many pods name networks
	// that do not exist. The API server's own fairness limits them.
	config.QPS, config.Burst = 100, 200
	server, err := New(ctx, options, config, log)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
