// Package cluster is a real API server with the real webhook in front of it, to
// be measured.
package cluster

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// Cluster is a running cluster without nodes.
type Cluster struct {
	dir     string
	plane   *controlplane.ControlPlane
	client  kubernetes.Interface
	objects dynamic.Interface
	webhook *programs.Program
	// controller is nil unless JudgeNADs started it.
	controller *programs.Program

	startTime time.Duration // of the webhook
}

// Start starts etcd and kube-apiserver and installs the resource definition of
// Multus. Data and logs go to dir. The flags are kube-apiserver's.
func Start(ctx context.Context, dir string, progress io.Writer, flags map[string]string) (*Cluster, error) {
	plane, err := controlplane.Start(ctx, controlplane.Options{Dir: filepath.Join(dir, "plane"), Progress: progress, APIServerFlags: flags})
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

// StartTime is how long the webhook took from its start until it was ready.
func (c *Cluster) StartTime() time.Duration { return c.startTime }

// Stop ends the controller, etcd, the API server and the webhook, in this order: the
// webhook would wait a second for the API server to hang up.
func (c *Cluster) Stop() error {
	var errs []error
	if c.controller != nil { // it ends with an error where it cannot give its lease back
		errs = append(errs, c.controller.End(grace))
	}
	errs = append(errs, c.plane.Stop())
	if c.webhook != nil {
		errs = append(errs, c.webhook.End(grace))
	}
	return errors.Join(errs...)
}

// start starts a program of ours. environ is added to the bench's own
// environment.
func (c *Cluster) start(path string, environ []string, arguments ...string) (*programs.Program, error) {
	cmd := exec.Command(path, arguments...)
	cmd.Env = append(os.Environ(), environ...)
	return programs.Run(c.dir, cmd)
}
