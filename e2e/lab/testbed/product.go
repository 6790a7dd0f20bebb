package testbed

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// System is the namespace of multus-ipmgr.
const System = "multus-ipmgr-system"

// helm is the program that installs the chart.
const helm = "helm"

const (
	// certificateName is a Secret, which product.yaml names too.
	certificateName = "webhook-tls"
	installTimeout  = 5 * time.Minute
)

// productValues are the chart's values that differ from the defaults: local
// images, and EC2 where the lab has it.
//
//go:embed product.yaml
var productValues []byte

// installProduct installs multus-ipmgr by its chart, as a user does, into a
// namespace that enforces the restricted Pod Security Standard.
func (l *Lab) installProduct(ctx context.Context) error {
	if l.options.Bare {
		return nil
	}
	if err := l.prepareSystem(ctx); err != nil {
		return err
	}
	lab, err := programs.Dir("e2e/lab")
	if err != nil {
		return err
	}
	ca := l.path("webhook-ca.crt")
	if err := os.WriteFile(ca, l.plane.CA(), 0o600); err != nil {
		return err
	}
	return l.helm(ctx, "install", "multus-ipmgr", filepath.Join(lab, "..", "..", "charts", "multus-ipmgr"),
		"--namespace", System, "--values", "-", "--set-file", "certificate.caBundle="+ca, "--wait", "--timeout", installTimeout.String())
}

// helm runs helm with the product's values as its input.
func (l *Lab) helm(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, l.assets.helm, append(args, "--kubeconfig", l.Kubeconfig())...)
	home := l.path(helm + ".home")
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	cmd.Stdin = bytes.NewReader(productValues)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// prepareSystem makes the namespace and the webhook's certificate.
func (l *Lab) prepareSystem(ctx context.Context) error {
	restricted := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	if err := l.plane.CreateNamespace(ctx, System, restricted); err != nil {
		return err
	}
	cert, key, err := l.plane.ServerCertificate("multus-ipmgr-webhook." + System + ".svc")
	if err != nil {
		return err
	}
	kube, err := client.NewForConfig(l.Config())
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: certificateName}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key},
	}
	_, err = kube.CoreV1().Secrets(System).Create(ctx, secret, metav1.CreateOptions{})
	return err
}
