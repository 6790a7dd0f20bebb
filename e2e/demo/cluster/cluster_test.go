package cluster_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cluster"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

func newCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	policy := inject.DefaultPolicy()
	policy.Image, policy.Version = "ipmgr", "v0"
	c := cluster.New(policy, slog.New(slog.DiscardHandler))
	c.CreateNamespace("core")
	r, err := nad.ParseReservation("10.10.1.64/26", "explicit", "subnet-a", "10.10.1.0/24", "us-west-2a")
	if err != nil {
		t.Fatal(err)
	}
	c.Reserve([]nad.Reservation{r})
	return c
}

func network(ranges string) *cluster.NAD {
	n := &cluster.NAD{
		TypeMeta:   metav1.TypeMeta{APIVersion: "k8s.cni.cncf.io/v1", Kind: "NetworkAttachmentDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: "net-a", Namespace: "core"},
	}
	n.Spec.Config = `{"cniVersion": "0.3.1", "type": "ipvlan", "master": "eth1", "ipam": {"type": "whereabouts", "range": "` + ranges + `"}}`
	return n
}

func pod(annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "upf-", Namespace: "core", Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "upf", Image: "upf"}}},
	}
}

func TestPodsAreInjectedOnceTheirNamespaceOptedIn(t *testing.T) {
	c := newCluster(t)
	if err := c.CreateNAD(t.Context(), network("10.10.1.64-10.10.1.79/24")); err != nil {
		t.Fatal(err)
	}
	networks := map[string]string{nad.NetworksAnnotation: "net-a"}
	before, err := c.CreatePod(t.Context(), pod(networks))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Label("core", inject.InjectLabel, inject.Enabled); err != nil {
		t.Fatal(err)
	}
	after, err := c.CreatePod(t.Context(), pod(networks))
	if err != nil {
		t.Fatal(err)
	}
	if len(before.Spec.InitContainers) != 0 || len(after.Spec.InitContainers) != 1 || after.Spec.InitContainers[0].Name != inject.ContainerName {
		t.Errorf("init containers before %+v, after %+v", before.Spec.InitContainers, after.Spec.InitContainers)
	}
	if before.Name == after.Name || !strings.HasPrefix(after.Name, "upf-") {
		t.Errorf("names %q and %q", before.Name, after.Name)
	}
}

func TestWhatTheWebhookRefusesIsNotCreated(t *testing.T) {
	c := newCluster(t)
	if err := c.Label("core", inject.InjectLabel, inject.Enabled); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreatePod(t.Context(), pod(map[string]string{inject.ModeAnnotation: "nothing", nad.NetworksAnnotation: "net-a"}))
	if denied, ok := errors.AsType[*cluster.Denied](err); !ok || !strings.Contains(denied.Message, inject.ModeAnnotation) {
		t.Errorf("a pod of an unknown mode: %v", err)
	}
	err = c.CreateNAD(t.Context(), network("10.10.1.160-10.10.1.191/24"))
	if denied, ok := errors.AsType[*cluster.Denied](err); !ok || !strings.Contains(denied.Message, "create-subnet-cidr-reservation") {
		t.Errorf("a range that is not reserved: %v", err)
	}
	if _, err := c.Network("core", "net-a"); err == nil {
		t.Error("the network that was refused exists")
	}
}

func TestNothingIsDoneInANamespaceThatDoesNotExist(t *testing.T) {
	c := newCluster(t)
	stray := pod(nil)
	stray.Namespace = "other"
	if _, err := c.CreatePod(t.Context(), stray); err == nil {
		t.Error("a pod was created")
	}
	if err := c.Label("other", "a", "b"); err == nil {
		t.Error("it was labelled")
	}
}
