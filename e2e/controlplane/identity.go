package controlplane

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

// admin is the user of Config and Kubeconfig.
const admin = "admin"

// ConfigFor returns the configuration of a user, such as
// system:serviceaccount:NAMESPACE:NAME, in the given groups. The user may do
// what RBAC grants it. Clients of it are not limited in their rate.
func (cp *ControlPlane) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	u, err := cp.user(user, groups)
	if err != nil {
		return nil, err
	}
	return u.Config(), nil
}

func (cp *ControlPlane) user(name string, groups []string) (*envtest.AuthenticatedUser, error) {
	return cp.env.AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: -1})
}

// KubeconfigFor writes a kubeconfig for a user and returns its path.
func (cp *ControlPlane) KubeconfigFor(user string, groups ...string) (string, error) {
	u, err := cp.user(user, groups)
	if err != nil {
		return "", err
	}
	text, err := u.KubeConfig()
	if err != nil {
		return "", fmt.Errorf("make the kubeconfig of %s: %w", user, err)
	}
	path := cp.pki.path(strings.ReplaceAll(user, ":", "-") + ".kubeconfig")
	return path, os.WriteFile(path, text, 0o600)
}

// WorkerKubeconfig returns a kubeconfig for a user, in the given groups, who
// reaches the API server at another address than this process does.
func (cp *ControlPlane) WorkerKubeconfig(server netip.AddrPort, user string, groups ...string) ([]byte, error) {
	u, err := cp.user(user, groups)
	if err != nil {
		return nil, err
	}
	u.Config().Host = "https://" + server.String()
	return u.KubeConfig()
}

// CA returns the certificate of the cluster's authority, in PEM.
func (cp *ControlPlane) CA() []byte { return cp.pki.PEM }

// Address returns where the API server listens, HOST:PORT on loopback.
func (cp *ControlPlane) Address() string { return cp.env.APIServer.HostPort() }

// Configure implements envtest.Authn: users have certificates of the authority.
func (p *pki) Configure(_ string, flags *envtest.Arguments) error {
	flags.Set("client-ca-file", p.path("ca.crt"))
	return nil
}

// Start implements envtest.Authn.
func (p *pki) Start() error { return nil }

// Stop implements envtest.Authn.
func (p *pki) Stop() error { return nil }

// AddUser implements envtest.Authn.
func (p *pki) AddUser(u envtest.User, base *rest.Config) (*rest.Config, error) {
	pair, err := p.Issue(testca.Request{Name: u.Name, Groups: u.Groups})
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(base)
	config.CertData, config.KeyData = pair.PEM, pair.KeyPEM
	return config, nil
}
