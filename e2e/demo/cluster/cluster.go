// Package cluster is the Kubernetes side of the demo: a real API server, the
// real webhook in front of it, and the parts that nobody runs here, played:
// the Deployment and service account controllers, the scheduler and the
// kubelet's reports.
package cluster

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/program"
)

// Cluster is a running cluster without nodes.
type Cluster struct {
	dir     string
	plane   *controlplane.ControlPlane
	client  kubernetes.Interface
	objects dynamic.Interface
	webhook *program.Program
}

// Start starts etcd and kube-apiserver and installs the resource definition of
// Multus. Data and logs go to dir.
func Start(ctx context.Context, dir string, progress io.Writer) (*Cluster, error) {
	plane, err := controlplane.Start(ctx, controlplane.Options{Dir: filepath.Join(dir, "plane"), Progress: progress})
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, plane: plane}
	if err := c.connect(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) connect(ctx context.Context) (err error) {
	config := c.plane.Config()
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if c.objects, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	return c.plane.InstallNADs(ctx)
}

// Version is the API server's.
func (c *Cluster) Version() string {
	v, err := c.client.Discovery().ServerVersion()
	if err != nil {
		return err.Error()
	}
	return v.GitVersion
}

// Stop ends etcd, the API server and the webhook, in this order: the webhook
// would wait a second for the API server to hang up.
func (c *Cluster) Stop() error {
	errs := []error{c.plane.Stop()}
	if c.webhook != nil {
		errs = append(errs, c.webhook.Stop(grace))
	}
	return errors.Join(errs...)
}
