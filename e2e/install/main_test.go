// Package install_test installs multus-ipmgr as an administrator does, upgrades
// it and removes it, while pods are created all the time: by helm, into a real
// etcd, kube-apiserver, kube-controller-manager and kube-scheduler, with
// cert-manager's controllers and cainjector. The pods of the chart are processes
// of this machine (see package kubelet), to which the API server finds its way by
// the Service's endpoints (see package service). Nothing leaves loopback.
//
// Not real are kubelets, kube-proxy, images, EC2 (vpcsim) and cert-manager's own
// admission webhook, which only checks what users write.
package install_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/install/service"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/kubelet/nodes"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

const (
	namespace = "multus-ipmgr-system" // of the release
	opted     = "shop"                // a namespace that opted in
	current   = "../../charts/multus-ipmgr"
	// previous is the chart as it was first written, with another version and a
	// ReservedCIDR without the columns Used and Free; there is no release yet.
	previous = "testdata/multus-ipmgr-0.0.9.tgz"
)

// cluster is a cluster to install into.
type cluster struct {
	*controlplane.ControlPlane
	dir    string
	tools  map[string]string // third-party programs by name
	client kubernetes.Interface
	all    dynamic.Interface
	nodes  *nodes.Nodes
	proxy  *service.Proxy
	ec2    string // URL
}

// startCluster starts one, which ends with the test.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("INSTALL_TEST") == "" {
		t.Skip("takes minutes: run make install-test")
	}
	c := &cluster{dir: t.TempDir()}
	var err error
	if c.tools, err = programs.Build(t.Context(), os.Stderr, "helm", "kubectl", controller, cainjector); err != nil {
		t.Fatal(err)
	}
	ours := buildOurs(t, c.dir)
	c.proxy, err = service.Listen(t.Context(), filepath.Join(c.dir, "proxy"), nodes.Loopback, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	c.ControlPlane, err = controlplane.Start(t.Context(), controlplane.Options{
		Progress: os.Stderr, Workers: &controlplane.Workers{Proxy: c.proxy.Socket()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c.Stop) })
	t.Cleanup(func() { stop(t, c.proxy.Close) })
	config := c.Config()
	config.WarningHandler = rest.NoWarnings{}
	c.client, c.all = kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)
	if err := c.proxy.Follow(t.Context(), c.Config()); err != nil {
		t.Fatal(err)
	}
	c.startNodes(t, ours)
	c.startCertManager(t)
	c.startEC2(t)
	if err := c.InstallNADs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateNamespace(t.Context(), opted, map[string]string{"multus-ipmgr.io/inject": "enabled"}); err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	if _, err := c.run(t.Context(), network, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	return c
}

// settle waits until every namespace has what Kubernetes puts into it.
func (c *cluster) settle(t *testing.T) {
	t.Helper()
	programs.Within(t, moments, "namespaces are complete", func() error {
		namespaces, err := c.client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, ns := range namespaces.Items {
			_, account := c.client.CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{})
			_, authority := c.client.CoreV1().ConfigMaps(ns.Name).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
			if err := errors.Join(account, authority); err != nil {
				return err
			}
		}
		return nil
	})
}

// network is what the pods of the load name.
const network = `
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: net1, namespace: shop}
spec:
  config: '{"cniVersion":"1.0.0","type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.10.1.64/26"}}'
`

func stop(t *testing.T, it func() error) {
	t.Helper()
	if err := it(); err != nil {
		t.Error(err)
	}
}

// buildOurs compiles the programs of the chart's pods as the Makefile does and
// returns the directory.
func buildOurs(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", dir+string(filepath.Separator),
		"github.com/multus-ipmgr/multus-ipmgr/cmd/webhook", "github.com/multus-ipmgr/multus-ipmgr/cmd/controller")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// startNodes starts two nodes on which the chart's images are programs in dir.
func (c *cluster) startNodes(t *testing.T, dir string) {
	t.Helper()
	var err error
	c.nodes, err = nodes.Join(t.Context(), nodes.Options{
		Config: c.Config(), Dir: c.dir, Complain: t.Output(), Zones: []string{"us-west-2a", "us-west-2b"},
		Programs: map[string]nodes.Program{
			"multus-ipmgr/webhook": {Path: filepath.Join(dir, "webhook"), Flags: func(p nodes.Place) []string {
				return []string{
					"--address", p.Address.String() + ":9443", "--ops-address", p.Address.String() + ":8080",
					"--kubeconfig", p.Kubeconfig, "--cert-dir", p.Volumes["/tls"],
				}
			}},
			"multus-ipmgr/controller": {Path: filepath.Join(dir, "controller"), Flags: func(p nodes.Place) []string {
				return []string{"--ops-address", p.Address.String() + ":8080", "--kubeconfig", p.Kubeconfig}
			}},
		},
		Kubeconfig: func(ns, account string) (string, error) {
			return c.KubeconfigFor("system:serviceaccount:"+ns+":"+account, "system:serviceaccounts", "system:serviceaccounts:"+ns)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.nodes.Close()
		logs, err := filepath.Glob(filepath.Join(c.dir, "multus-ipmgr-*.log"))
		for _, log := range logs {
			if t.Failed() {
				t.Logf("%s ends (%v):\n%s", filepath.Base(log), err, programs.Tail(log))
			}
		}
	})
}

// topology has a reservation that the controller mirrors.
const topology = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-1, cidr: 10.10.1.0/24, zone: us-west-2a, tags: {multus-ipmgr.io/mirror: "true"}}
reservations:
- {subnet: subnet-1, cidr: 10.10.1.64/26, type: explicit}
`

func (c *cluster) startEC2(t *testing.T) {
	t.Helper()
	vpc, err := vpcsim.Load(strings.NewReader(topology))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(vpc, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := sim.Listen(t.Context(), vpcsim.Addresses{EC2: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0).String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server.Close) })
	c.ec2 = server.EC2URL
}

// run runs a third-party program on the cluster and returns what it printed.
func (c *cluster) run(ctx context.Context, input, program string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.tools[program], append(arguments, "--kubeconfig", c.Kubeconfig())...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+c.dir, "HELM_CONFIG_HOME="+c.dir, "HELM_DATA_HOME="+c.dir, "HOME="+c.dir)
	cmd.Stdin = strings.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, strings.Join(arguments, " "), err, said.String())
	}
	return out.String(), nil
}

// helm runs helm for the release.
func (c *cluster) helm(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := c.run(t.Context(), "", "helm", append(arguments, "--namespace", namespace)...)
	if err != nil {
		objects, _ := c.run(t.Context(), "", "kubectl", "get", "nodes,pods,certificates,events", "-o", "wide", "--namespace", namespace)
		t.Fatalf("%v\nthe cluster then:\n%s", err, objects)
	}
	return out
}

// values are those of the release: how the controller reaches EC2 here.
func (c *cluster) values() []string {
	return []string{
		"--wait", "--timeout", "2m", "--set", "controller.region=us-west-2,controller.syncInterval=2s",
		"--set", "controller.env.AWS_ENDPOINT_URL_EC2=" + c.ec2,
		"--set", "controller.env.AWS_ACCESS_KEY_ID=" + vpcsim.AccessKeyID,
		"--set", "controller.env.AWS_SECRET_ACCESS_KEY=" + vpcsim.SecretAccessKey,
	}
}

// moments is how long a cluster may take to take something over, on a busy machine.
const moments = time.Minute
