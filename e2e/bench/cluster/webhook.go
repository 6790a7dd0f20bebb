package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

// Where the webhook listens. The bench has the loopback to itself.
const (
	webhookURL = "https://127.0.0.1:9443"
	opsURL     = "http://127.0.0.1:8080"
)

// Who the webhook is to the API server: the account of config/webhook/rbac.yaml.
const (
	systemNamespace = "multus-ipmgr-system"
	account         = "system:serviceaccount:" + systemNamespace + ":multus-ipmgr-webhook"
)

const (
	grace          = 10 * time.Second
	webhookTimeout = 30 * time.Second
)

// Install starts the program at path as the webhook, with the rights of the
// manifests that users install, waits until it is ready, and registers it by
// config/cert-manager/mutating.yaml. environ is added to its environment, more to
// its arguments.
func (c *Cluster) Install(ctx context.Context, path string, environ []string, more ...string) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	if err := c.plane.CreateNamespace(ctx, systemNamespace, nil); err != nil {
		return err
	}
	if err := c.Apply(ctx, config.WebhookRBAC()); err != nil {
		return err
	}
	started := time.Now()
	bundle, err := c.run(path, environ, more)
	if err != nil {
		return err
	}
	if err := c.webhook.Until(ctx, ready); err != nil {
		return err
	}
	c.startTime = time.Since(started)
	return c.register(ctx, bundle)
}

// run starts the webhook and returns the CA bundle of its certificate.
func (c *Cluster) run(path string, environ, more []string) ([]byte, error) {
	certificates := filepath.Join(c.dir, "tls")
	if err := os.MkdirAll(certificates, 0o700); err != nil {
		return nil, err
	}
	ca, err := testca.New("bench")
	if err != nil {
		return nil, err
	}
	pair, err := ca.Issue(testca.Request{Name: "multus-ipmgr-webhook", Hosts: []string{"127.0.0.1"}})
	if err != nil {
		return nil, err
	}
	if err := pair.Write(certificates); err != nil {
		return nil, err
	}
	kubeconfig, err := c.plane.KubeconfigFor(account, "system:serviceaccounts", "system:authenticated")
	if err != nil {
		return nil, err
	}
	arguments := append([]string{
		"--address=" + webhookURL[len("https://"):], "--ops-address=" + opsURL[len("http://"):],
		"--cert-dir=" + certificates, "--kubeconfig=" + kubeconfig, "--drain=0s",
	}, more...)
	c.webhook, err = c.start(path, environ, arguments...)
	return ca.PEM, err
}

func ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, opsURL+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body) // the status decides
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s: %s", response.Status, text)
	}
	return nil
}

func (c *Cluster) register(ctx context.Context, bundle []byte) error {
	configuration, err := config.MutatingWebhook(webhookURL, bundle)
	if err != nil {
		return err
	}
	configurations := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := configurations.Create(ctx, configuration, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("register the webhook: %w", err)
	}
	return nil
}
