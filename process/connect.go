package process

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// Begin prepares what webhook and controller share: Kubernetes's libraries write
// to log, and the heap stays within the container's memory. It returns how to
// reach the API server.
func Begin(ctx context.Context, kubeconfig string, log *slog.Logger) (*rest.Config, error) {
	logger := logr.FromSlogHandler(log.Handler())
	klog.SetLogger(logger.WithName("client-go"))
	ctrllog.SetLogger(logger)
	LimitMemory(ctx, log)
	return Connect(kubeconfig)
}

// Connect returns how to reach the API server: as a kubeconfig says, or without
// one by the pod's own service account.
func Connect(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("no service account to reach the API server with; outside a pod give --kubeconfig: %w", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	return config, nil
}
