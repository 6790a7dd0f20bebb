package controlplane

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

// Workers make a control plane that real kubelets join: all controllers and a
// scheduler run, and the API server talks to kubelets and webhooks through a
// proxy, as the workers' network is not the host's.
type Workers struct {
	// Addresses are where workers reach the API server, for its certificate.
	Addresses []netip.Addr
	// Proxy is the unix socket of an HTTP proxy into the workers' network. It
	// is asked to CONNECT to addresses of nodes and services.
	Proxy string
}

// proxied is the API server's configuration of its ways to the cluster.
const proxied = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport: {uds: {udsName: %q}}
`

// kubeletClient is the API server's user at kubelets, a name that RBAC's own
// role for it does not bind.
const kubeletClient = "kube-apiserver-kubelet-client"

// configureWorkers sets the flags of an API server for workers, whose files it
// leaves in the control plane's directory.
func (cp *ControlPlane) configureWorkers(flags *envtest.Arguments, w *Workers) error {
	if w == nil {
		return nil
	}
	egress := cp.pki.path("egress.yaml")
	if err := os.WriteFile(egress, fmt.Appendf(nil, proxied, w.Proxy), 0o600); err != nil {
		return err
	}
	flags.
		Set("egress-selector-config-file", egress).
		Set("kubelet-client-certificate", cp.pki.path("kubelet-client.crt")).
		Set("kubelet-client-key", cp.pki.path("kubelet-client.key")).
		Set("kubelet-preferred-address-types", "InternalIP") // the proxy resolves no names
	return cp.pki.write("kubelet-client", testca.Request{Name: kubeletClient, Groups: []string{"system:masters"}})
}

// controllerArgs select the controllers.
func controllerArgs(w *Workers) []string {
	if w == nil {
		return []string{"--controllers", "daemonset-controller,deployment-controller,garbage-collector-controller,job-controller," +
			"namespace-controller,replicaset-controller,serviceaccount-controller,statefulset-controller"}
	}
	// A worker that died is known after 12 s instead of 50: tests wait for it.
	return []string{"--node-monitor-grace-period", "12s", "--node-monitor-period", "2s"}
}

func (cp *ControlPlane) startScheduler(path string) error {
	kubeconfig := cp.pki.path("system-" + scheduler + ".kubeconfig")
	return cp.startManager(path, "--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig)
}

// ipsOf converts addresses for a certificate.
func (w *Workers) ipsOf() []net.IP {
	if w == nil {
		return nil
	}
	var ips []net.IP
	for _, a := range w.Addresses {
		ips = append(ips, a.AsSlice())
	}
	return ips
}
