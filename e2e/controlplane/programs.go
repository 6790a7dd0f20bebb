package controlplane

import (
	"context"
	"io"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// The programs' names in e2e/tools.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
)

// Prepare builds the programs that Start with the same options will run, where
// the cache has none. A test that enters a network namespace calls it before:
// inside there is no way to the Go module proxy.
func Prepare(ctx context.Context, o Options) error {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	_, err := build(ctx, o)
	return err
}

// build returns the path of each program by its name.
func build(ctx context.Context, o Options) (map[string]string, error) {
	names := []string{etcd, apiServer}
	if o.ControllerManager || o.Workers != nil {
		names = append(names, controllerManager)
	}
	if o.Workers != nil {
		names = append(names, scheduler)
	}
	return programs.Build(ctx, o.Progress, names...)
}
