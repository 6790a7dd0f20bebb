package testbed

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// System is the namespace of multus-ipmgr.
const System = "multus-ipmgr-system"

// helm is the program that installs the chart.
const helm = "helm"

const installTimeout = 5 * time.Minute

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
	restricted := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	if err := l.plane.CreateNamespace(ctx, System, restricted); err != nil {
		return err
	}
	lab, err := programs.Dir("e2e/lab")
	if err != nil {
		return err
	}
	return l.helm(ctx, "install", "multus-ipmgr", filepath.Join(lab, "..", "..", "charts", "multus-ipmgr"),
		"--namespace", System, "--values", "-", "--wait", "--timeout", installTimeout.String())
}

// helm runs helm with the product's values as its input.
func (l *Lab) helm(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, l.assets.helm, append(args, "--kubeconfig", l.Kubeconfig())...)
	home := l.path(helm + ".home")
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for our user, who then stops it
	cmd.Stdin = bytes.NewReader(productValues)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %s: %w\n%s", args[0], err, out)
	}
	return nil
}
