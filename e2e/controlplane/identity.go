package controlplane

import (
	"fmt"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

// admin is the user of Config and Kubeconfig.
const admin = "admin"

// ConfigFor returns the configuration of a user, such as
// system:serviceaccount:NAMESPACE:NAME, in the given groups. The user may do
// what RBAC grants it. Clients of it are not limited in their rate.
func (cp *ControlPlane) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	client, err := cp.pki.Issue(testca.Request{Name: user, Groups: groups})
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            cp.url,
		QPS:             -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: cp.pki.PEM, CertData: client.PEM, KeyData: client.KeyPEM},
	}, nil
}

// KubeconfigFor writes a kubeconfig for a user and returns its path.
func (cp *ControlPlane) KubeconfigFor(user string, groups ...string) (string, error) {
	config, err := cp.ConfigFor(user, groups...)
	if err != nil {
		return "", err
	}
	path := cp.pki.path(strings.ReplaceAll(user, ":", "-") + ".kubeconfig")
	return path, writeKubeconfig(path, config)
}

func writeKubeconfig(path string, c *rest.Config) error {
	if err := clientcmd.WriteToFile(*kubeconfigOf(c), path); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}

func kubeconfigOf(c *rest.Config) *clientcmdapi.Config {
	const name = "multus-ipmgr"
	k := clientcmdapi.NewConfig()
	k.Clusters[name] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	k.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData}
	k.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	k.CurrentContext = name
	return k
}
