package controlplane

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

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

// serverArgs returns the arguments of an API server for workers, whose files it
// leaves in the control plane's directory.
func (cp *ControlPlane) serverArgs(w *Workers) ([]string, error) {
	if w == nil {
		return nil, nil
	}
	egress := cp.pki.path("egress.yaml")
	if err := os.WriteFile(egress, fmt.Appendf(nil, proxied, w.Proxy), 0o600); err != nil {
		return nil, err
	}
	client, err := cp.pki.Issue(testca.Request{Name: kubeletClient, Groups: []string{"system:masters"}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(cp.pki.path("kubelet-client.crt"), client.PEM, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(cp.pki.path("kubelet-client.key"), client.KeyPEM, 0o600); err != nil {
		return nil, err
	}
	return []string{
		"--egress-selector-config-file", egress,
		"--kubelet-client-certificate", cp.pki.path("kubelet-client.crt"),
		"--kubelet-client-key", cp.pki.path("kubelet-client.key"),
		"--kubelet-preferred-address-types", "InternalIP", // the proxy resolves no names
	}, nil
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
	kubeconfig, err := cp.KubeconfigFor("system:kube-scheduler")
	if err != nil {
		return err
	}
	_, err = cp.launch(path, "--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port", "0",
		"--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig)
	return err
}

// WorkerKubeconfig returns a kubeconfig for a user, in the given groups, who
// reaches the API server at another address than this process does.
func (cp *ControlPlane) WorkerKubeconfig(server netip.AddrPort, user string, groups ...string) ([]byte, error) {
	config, err := cp.ConfigFor(user, groups...)
	if err != nil {
		return nil, err
	}
	config.Host = "https://" + server.String()
	return clientcmd.Write(*kubeconfigOf(config))
}

// CA returns the certificate of the cluster's authority, in PEM.
func (cp *ControlPlane) CA() []byte { return cp.pki.PEM }

// Address returns where the API server listens, HOST:PORT on loopback.
func (cp *ControlPlane) Address() string { return strings.TrimPrefix(cp.url, "https://") }

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
