package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/config"
)

// controllerURL is where the controller serves its metrics.
const controllerURL = "http://127.0.0.1:8081"

// controllerTimeout bounds a controller's first look at all there is.
const controllerTimeout = 5 * time.Minute

// JudgeNADs starts the program at path as the controller, with the rights of the
// manifest that users install, and waits until it has found so many NADs broken.
// environ is added to its environment.
func (c *Cluster) JudgeNADs(ctx context.Context, path string, environ []string, subnet string, broken int) error {
	ctx, cancel := context.WithTimeout(ctx, controllerTimeout)
	defer cancel()
	if err := c.plane.CreateNamespace(ctx, systemNamespace, nil); err != nil {
		return err
	}
	if err := c.plane.InstallCRD(ctx, config.ReservedCIDRs()); err != nil {
		return err
	}
	if err := c.Apply(ctx, config.ControllerRBAC()); err != nil {
		return err
	}
	kubeconfig, err := c.plane.KubeconfigFor("system:serviceaccount:"+systemNamespace+":multus-ipmgr-controller", "system:serviceaccounts", "system:authenticated")
	if err != nil {
		return err
	}
	c.controller, err = c.start(path, environ,
		"--kubeconfig="+kubeconfig, "--ops-address="+controllerURL[len("http://"):], "--namespace="+systemNamespace, "--subnets="+subnet)
	if err != nil {
		return err
	}
	return c.controller.Until(ctx, func(ctx context.Context) error {
		select { // 10,000 series are no light answer
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		found, err := brokenNADs(ctx)
		if err == nil && found < broken {
			err = fmt.Errorf("%d of %d NADs are found", found, broken)
		}
		return err
	})
}

// brokenNADs counts the series of the controller's metric.
func brokenNADs(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, controllerURL+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return strings.Count(string(text), "\nmultus_ipmgr_nads_broken{"), err
}
