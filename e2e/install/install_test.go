package install_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// TestLifeOfAnInstallation goes through it in order: what one step leaves is
// what the next one finds.
func TestLifeOfAnInstallation(t *testing.T) {
	c := startCluster(t)
	before := c.objects(t)
	for _, step := range []struct {
		name string
		play func(*testing.T)
	}{
		{"the previous version is installed", c.installs},
		{"its pods are marked as not ready", c.losesHeartbeats},
		{"it is upgraded under load", c.upgrades},
		{"its certificate is renewed under load", c.renews},
		{"its authority is renewed under load", c.renewsAuthority},
		{"replicas end under load", c.endsReplicas},
		{"a replica is killed under load", c.killsReplica},
		{"it changes to certificates of its own", c.selfManages},
		{"it renews its certificate under load", c.renewsItself},
		{"its Secret is emptied and deleted under load", c.losesSecret},
		{"what API servers trust is removed", c.losesBundle},
		{"it is uninstalled under load and leaves nothing", func(t *testing.T) { t.Helper(); c.uninstalls(t, before) }},
	} {
		if !t.Run(step.name, step.play) {
			return
		}
	}
}

func (c *cluster) installs(t *testing.T) {
	t.Helper()
	c.helm(t, append([]string{"install", "multus-ipmgr", previous, "--create-namespace"}, c.values()...)...)
	c.served(t)
	if !bytes.Equal(c.bundle(t), c.secret(t, serving).Data["ca.crt"]) {
		t.Error("the API server trusts another authority than the Secret's")
	}
	c.admits(t, "multus-ipmgr/ipmgr:v0.0.9")
}

// admits holds that pods with networks get a container of the image and others
// do not.
func (c *cluster) admits(t *testing.T, want string) {
	t.Helper()
	for networks, want := range map[string]string{"net1": want, "": ""} {
		pod, err := createPod(t.Context(), c.client, "one", networks)
		if err != nil {
			t.Fatal(err)
		}
		if got := image(pod); got != want {
			t.Errorf("networks %q: image %q, want %q", networks, got, want)
		}
		if err := c.client.CoreV1().Pods(opted).Delete(t.Context(), "one", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
			t.Fatal(err)
		}
	}
}

// losesHeartbeats marks all pods as not ready, as the node lifecycle controller
// does when heartbeats came late because the machine stood still: the nodes say
// that the pods are ready, or no Deployment would be available from then on.
func (c *cluster) losesHeartbeats(t *testing.T) {
	t.Helper()
	unready := []byte(`{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`)
	for _, p := range c.replicas(t) {
		if _, err := c.client.CoreV1().Pods(namespace).Patch(t.Context(), p.Name, types.StrategicMergePatchType, unready, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	programs.Within(t, moments, "the replicas are ready again", func() error { return c.full(t) })
}

// upgrades goes by the chart's README: CustomResourceDefinitions first.
func (c *cluster) upgrades(t *testing.T) {
	t.Helper()
	l := c.load(t)
	crds, err := c.run(t.Context(), "", "helm", "show", "crds", current)
	if err != nil {
		t.Fatal(err)
	}
	if columns := c.columns(t); strings.Contains(columns, "FREE") {
		t.Errorf("before the upgrade: %s", columns)
	}
	if _, err := c.run(t.Context(), crds, "kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	programs.Within(t, moments, "the new columns", func() error {
		if columns := c.columns(t); !strings.Contains(columns, "FREE") {
			return errors.New(columns)
		}
		return nil
	})
	c.helm(t, append([]string{"upgrade", "multus-ipmgr", current}, c.values()...)...)
	c.served(t)
	l.none(t)
	c.admits(t, "multus-ipmgr/ipmgr:v0.1.0")
}

// columns is the first line of "kubectl get reservedcidrs", once there are any.
func (c *cluster) columns(t *testing.T) (line string) {
	t.Helper()
	programs.Within(t, moments, "the controller mirrors EC2's reservation", func() error {
		out, err := c.run(t.Context(), "", "kubectl", "get", "reservedcidrs")
		if err == nil && !strings.Contains(out, "10.10.1.64/26") {
			err = errors.New(out)
		}
		line, _, _ = strings.Cut(out, "\n")
		return err
	})
	return line
}

func (c *cluster) renews(t *testing.T) {
	t.Helper()
	l := c.load(t)
	c.renew(t, serving)
	c.served(t)
	l.none(t)
}

// renewsAuthority renews the authority, and then what it issues.
func (c *cluster) renewsAuthority(t *testing.T) {
	t.Helper()
	l := c.load(t)
	old := c.bundle(t)
	c.renew(t, "multus-ipmgr-ca")
	c.renew(t, serving)
	programs.Within(t, moments, "the new authority is injected", func() error {
		if bytes.Equal(old, c.bundle(t)) {
			return errors.New("the API server trusts the old one only")
		}
		return nil
	})
	c.served(t)
	l.none(t)
}

// endsReplicas ends one replica as the kubelet does when its pod is deleted,
// and one as a person or a liveness probe does.
func (c *cluster) endsReplicas(t *testing.T) {
	t.Helper()
	l := c.load(t)
	pods := c.replicas(t)
	if err := c.client.CoreV1().Pods(namespace).Delete(t.Context(), pods[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.replaced(t, pods[0])
	c.restart(t, pods[1], syscall.SIGTERM)
	l.none(t)
}

// replaced waits until a pod is gone and two replicas are there.
func (c *cluster) replaced(t *testing.T, old corev1.Pod) {
	t.Helper()
	programs.Within(t, moments, "another replica", func() error {
		if _, err := c.client.CoreV1().Pods(namespace).Get(t.Context(), old.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the old one is still there: %w", err)
		}
		return c.full(t)
	})
}

// full holds when two replicas are ready and reached by the Service.
func (c *cluster) full(t *testing.T) error {
	t.Helper()
	s, err := c.client.CoreV1().Services(namespace).Get(t.Context(), serving, metav1.GetOptions{})
	if err != nil {
		return err
	}
	reached := c.proxy.Endpoints(netip.AddrPortFrom(netip.MustParseAddr(s.Spec.ClusterIP), 443))
	if ready := len(c.replicas(t)); ready != 2 || len(reached) != 2 {
		return fmt.Errorf("%d replicas are ready, %d are reached", ready, len(reached))
	}
	return nil
}

// restart sends a signal to a replica's process and waits until it is ready
// again.
func (c *cluster) restart(t *testing.T, p corev1.Pod, signal syscall.Signal) {
	t.Helper()
	if err := c.nodes.Signal(p.Name, signal); err != nil {
		t.Fatal(err)
	}
	programs.Within(t, moments, "the replica is back", func() error {
		for _, now := range c.replicas(t) {
			if now.Name == p.Name && now.Status.ContainerStatuses[0].RestartCount > p.Status.ContainerStatuses[0].RestartCount {
				return c.full(t)
			}
		}
		return errors.New("it is not ready, or was not restarted")
	})
}

// killsReplica kills each replica without warning. What the API server was
// sending to it, and what it sends there before it knows, is refused; what can
// be promised is that no pod passes without the IP manager, that a Deployment
// gets all its pods nevertheless, and that all is well when the replica is back.
func (c *cluster) killsReplica(t *testing.T) {
	t.Helper()
	c.deploy(t, 0)
	l := c.load(t)
	for n, p := range c.replicas(t) {
		c.deploy(t, 20*(n+1))
		c.restart(t, p, syscall.SIGKILL)
	}
	l.refused(t)
	after := c.load(t)
	programs.Within(t, moments, "the Deployment has all its pods", func() error {
		pods, err := c.client.CoreV1().Pods(opted).List(t.Context(), metav1.ListOptions{LabelSelector: "app=upf"})
		if err != nil {
			return err
		}
		for _, p := range pods.Items {
			if image(&p) == "" {
				t.Errorf("pod %s has no IP manager", p.Name)
			}
		}
		if len(pods.Items) != 40 {
			return fmt.Errorf("%d pods of 40", len(pods.Items))
		}
		return nil
	})
	after.reach(t, 100)
	after.none(t)
}

// deploy scales a Deployment whose pods have Multus networks.
func (c *cluster) deploy(t *testing.T, replicas int) {
	t.Helper()
	if _, err := c.run(t.Context(), fmt.Sprintf(deployment, replicas), "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: upf, namespace: shop}
spec:
  replicas: %d
  selector: {matchLabels: {app: upf}}
  template:
    metadata:
      labels: {app: upf}
      annotations: {k8s.v1.cni.cncf.io/networks: net1}
    spec:
      schedulerName: nobody
      containers: [{name: app, image: "shop/upf:1"}]
`

// uninstalls goes by the chart's README: what is left then is what it says, and
// goes by its commands.
func (c *cluster) uninstalls(t *testing.T, before []string) {
	t.Helper()
	if _, err := c.run(t.Context(), "", "kubectl", "delete", "deployment", "upf", "--namespace", opted, "--ignore-not-found"); err != nil {
		t.Fatal(err)
	}
	l := c.load(t)
	l.bare.Store(true)
	l.reach(t, 20)
	c.helm(t, "uninstall", "multus-ipmgr", "--wait")
	programs.Within(t, moments, "pods pass without the IP manager", func() error {
		pod, err := createPod(t.Context(), c.client, "one", "net1")
		if err != nil {
			return err
		}
		err = c.client.CoreV1().Pods(opted).Delete(t.Context(), "one", metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
		if image(pod) != "" {
			err = errors.Join(err, errors.New("it still gets the IP manager"))
		}
		return err
	})
	l.reach(t, 100)
	l.none(t)
	c.left(t, before,
		"apiservices.apiregistration.k8s.io v1alpha1.multus-ipmgr.io",
		"configmaps multus-ipmgr-system/kube-root-ca.crt",
		"customresourcedefinitions.apiextensions.k8s.io reservedcidrs.multus-ipmgr.io",
		"leases.coordination.k8s.io multus-ipmgr-system/multus-ipmgr-controller",
		"namespaces multus-ipmgr-system",
		"reservedcidrs.multus-ipmgr.io 10.10.1.64/26",
		"secrets multus-ipmgr-system/multus-ipmgr-ca",
		"secrets multus-ipmgr-system/multus-ipmgr-webhook",
		"serviceaccounts multus-ipmgr-system/default",
	)
	for _, object := range [][]string{{"namespace", namespace}, {"crd", "reservedcidrs.multus-ipmgr.io"}} {
		if _, err := c.run(t.Context(), "", "kubectl", append([]string{"delete"}, object...)...); err != nil {
			t.Fatal(err)
		}
	}
	c.left(t, before)
}

// left waits until the cluster has what it had before and want.
func (c *cluster) left(t *testing.T, before []string, want ...string) {
	t.Helper()
	programs.Within(t, moments, "garbage is collected", func() error {
		if diff := cmp.Diff(want, added(before, c.objects(t)), cmpopts.EquateEmpty()); diff != "" {
			return errors.New("left behind (-want +got):\n" + diff)
		}
		return nil
	})
}
