package webhook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// TestNetworksAgainstARealAPIServer has no EC2: admission does not need it.
func TestNetworksAgainstARealAPIServer(t *testing.T) {
	w := newWorld(t)
	w.install(t)
	w.installValidation(t)
	t.Run("without the resource, nothing is known and all is admitted", w.admitsWithoutReservations)
	w.reserve(t)
	t.Run("a reserved range is admitted", w.admitsReserved)
	t.Run("a range outside is refused with the command that fixes it", w.refusesOutside)
	t.Run("a reservation made a moment ago counts", w.seesNewReservation)
	t.Run("warnings reach the user", w.warnsOfMacvlan)
	t.Run("an update is checked, one of metadata is not", w.checksUpdates)
	t.Run("a NAD that is not managed is left alone", w.leavesUnmanaged)
	t.Run("a namespace chooses how to validate", w.namespacesChoose)
	t.Run("a pod gets pools and zone", w.placesPod)
	t.Run("a pod's addresses are checked", w.checksAddresses)
	t.Run("while no replica answers, networks are admitted", w.failsOpenForNetworks)
}

func (w *world) installValidation(t *testing.T) {
	t.Helper()
	configuration, err := config.ValidatingWebhook("https://"+w.server.Address(), w.authority.pem)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually(t, "asked to validate", func() error {
		_, err := w.createNAD(t, "apps", "probe", "{", nil, metav1.DryRunAll)
		if err == nil {
			return fmt.Errorf("a broken NAD is admitted")
		}
		return nil
	})
	w.warnings.take()
}

// createNAD creates a NAD and returns what the API server makes of it.
func (w *world) createNAD(t *testing.T, namespace, name, text string, labels map[string]string, dryRun ...string) (*unstructured.Unstructured, error) {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"config": text},
	}}
	object.SetLabels(labels)
	return w.nads.Namespace(namespace).Create(t.Context(), object, metav1.CreateOptions{DryRun: dryRun})
}

func (w *world) reservedCIDRs() dynamic.NamespaceableResourceInterface {
	return dynamic.NewForConfigOrDie(w.plane.Config()).Resource(schema.GroupVersionResource{Group: "multus-ipmgr.io", Version: "v1alpha1", Resource: "reservedcidrs"})
}

func (w *world) createReservation(t *testing.T, name, cidr string) {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "multus-ipmgr.io/v1alpha1", "kind": "ReservedCIDR", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"cidr": cidr, "type": "explicit", "subnetID": "subnet-a", "subnetCIDR": "10.10.1.0/24", "availabilityZone": "us-west-2a"},
	}}
	if _, err := w.reservedCIDRs().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// reserve installs ReservedCIDR, and waits until the webhook, which tried to
// read it in vain until now, has read the first.
func (w *world) reserve(t *testing.T) {
	t.Helper()
	if err := w.plane.InstallCRD(t.Context(), config.ReservedCIDRs()); err != nil {
		t.Fatal(err)
	}
	w.createReservation(t, "a", "10.10.1.64/26")
	w.eventually(t, "aware of the reservation", func() error {
		p, err := w.client.CoreV1().Pods("apps").Create(t.Context(), pod("aware", "net-a"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && value(p.Spec.InitContainers[0], "IPMGR_POOLS") == "" {
			err = fmt.Errorf("no pools")
		}
		return err
	})
	w.warnings.take()
}

func (w *world) admitsWithoutReservations(t *testing.T) {
	if code, body := w.ops(t, "/readyz"); code != http.StatusOK {
		t.Fatalf("not ready: %d %s", code, body)
	}
	if _, err := w.createNAD(t, "apps", "early", ranged("10.10.9.70-10.10.9.79/24"), nil); err != nil {
		t.Fatal(err)
	}
	startEqually(t, []string{"spec.config: no subnet CIDR reservation is known"}, w.warnings.take())
}

func (w *world) admitsReserved(t *testing.T) {
	if _, err := w.createNAD(t, "apps", "good", ranged("10.10.1.100-10.10.1.109/24"), nil); err != nil {
		t.Fatal(err)
	}
	startEqually(t, []string{"spec.config.ipam.range: 10.10.1.100-10.10.1.109 is handed out by apps/net-a, plain/net-a too"}, w.warnings.take())
}

// refused fails unless err is a refusal of those fields.
func refused(t *testing.T, err error, fields []string, parts ...string) {
	t.Helper()
	if !apierrors.IsInvalid(err) {
		t.Fatalf("error %v, want a refusal", err)
	}
	status, _ := err.(apierrors.APIStatus)
	var got []string
	for _, c := range status.Status().Details.Causes {
		got = append(got, c.Field)
	}
	if strings.Join(got, " ") != strings.Join(fields, " ") {
		t.Errorf("fields %q, want %q", got, fields)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
}

func (w *world) refusesOutside(t *testing.T) {
	_, err := w.createNAD(t, "apps", "bad", `{"plugins":[{"type":"ipvlan","ipam":{"type":"whereabouts","ipRanges":[{"range":"10.10.1.130-10.10.1.131/24"},{"range":"10.10.1.1-10.10.1.3/25"}]}}]}`, nil)
	refused(t, err, []string{"spec.config.plugins[0].ipam.ipRanges[0].range", "spec.config.plugins[0].ipam.ipRanges[1].range"},
		"aws ec2 create-subnet-cidr-reservation --subnet-id subnet-a --cidr 10.10.1.130/31 --reservation-type explicit", "is reserved by AWS")
}

func (w *world) seesNewReservation(t *testing.T) {
	w.createReservation(t, "b", "10.10.1.192/28")
	if _, err := w.createNAD(t, "apps", "quick", ranged("10.10.1.193-10.10.1.206/24"), nil); err != nil {
		t.Error(err)
	}
}

func (w *world) warnsOfMacvlan(t *testing.T) {
	w.warnings.take()
	if _, err := w.createNAD(t, "apps", "mac", `{"type":"macvlan","master":"eth1"}`, nil); err != nil {
		t.Fatal(err)
	}
	startEqually(t, []string{"spec.config.type: macvlan gives each pod a MAC of its own"}, w.warnings.take())
}

func (w *world) checksUpdates(t *testing.T) {
	early, err := w.nads.Namespace("apps").Get(t.Context(), "early", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	early.SetAnnotations(map[string]string{"touched": "yes"})
	if early, err = w.nads.Namespace("apps").Update(t.Context(), early, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("metadata cannot be changed: %v", err)
	}
	if err := unstructured.SetNestedField(early.Object, ranged("10.10.9.70-10.10.9.80/24"), "spec", "config"); err != nil {
		t.Fatal(err)
	}
	_, err = w.nads.Namespace("apps").Update(t.Context(), early, metav1.UpdateOptions{})
	refused(t, err, []string{"spec.config.ipam.range"})
	early.SetLabels(map[string]string{"multus-ipmgr.io/managed": "false"})
	if _, err = w.nads.Namespace("apps").Update(t.Context(), early, metav1.UpdateOptions{}); err != nil {
		t.Errorf("a NAD cannot be made unmanaged: %v", err)
	}
}

func (w *world) leavesUnmanaged(t *testing.T) {
	if _, err := w.createNAD(t, "apps", "unmanaged", "{", map[string]string{"multus-ipmgr.io/managed": "false"}); err != nil {
		t.Error(err)
	}
}

func (w *world) namespacesChoose(t *testing.T) {
	w.warnings.take()
	w.namespace(t, "warned", map[string]string{inject.ValidateLabel: "warn"})
	w.namespace(t, "off", map[string]string{inject.ValidateLabel: "off"})
	for _, namespace := range []string{"warned", "off"} {
		if _, err := w.createNAD(t, namespace, "bad", ranged("10.10.1.130-10.10.1.131/24"), nil); err != nil {
			t.Errorf("%s: %v", namespace, err)
		}
	}
	startEqually(t, []string{"spec.config.ipam.range: no explicit subnet CIDR reservation covers"}, w.warnings.take())
}

func (w *world) placesPod(t *testing.T) {
	p := pod("placed", "good")
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: corev1.NodeSelectorOpIn, Values: []string{"multus"}}}}},
	}}}
	got := w.create(t, "apps", p)
	if pools := value(got.Spec.InitContainers[0], "IPMGR_POOLS"); pools != "10.10.1.64/26" {
		t.Errorf("pools %q", pools)
	}
	terms := got.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if len(terms) != 1 || len(terms[0].MatchExpressions) != 2 || terms[0].MatchExpressions[0].Key != "pool" ||
		terms[0].MatchExpressions[1].Key != "topology.kubernetes.io/zone" || terms[0].MatchExpressions[1].Values[0] != "us-west-2a" {
		t.Errorf("terms %+v", terms)
	}
}

func (w *world) checksAddresses(t *testing.T) {
	if _, err := w.createNAD(t, "apps", "fixed", `{"type":"ipvlan","capabilities":{"ips":true},"ipam":{"type":"static"}}`, nil); err != nil {
		t.Fatal(err)
	}
	w.create(t, "apps", pod("fixed", `[{"name":"fixed","ips":["10.10.1.127/24"]}]`)) // whereabouts gives no range's last address to pods
	_, err := w.client.CoreV1().Pods("apps").Create(t.Context(), pod("wrong", `[{"name":"fixed","ips":["10.10.1.130/24"]}]`), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.annotations[k8s.v1.cni.cncf.io/networks][0].ips[0]: no explicit subnet CIDR reservation covers 10.10.1.130") {
		t.Errorf("error %v", err)
	}
}

func (w *world) failsOpenForNetworks(t *testing.T) {
	w.stop()
	if _, err := w.createNAD(t, "apps", "unchecked", "{", nil); err != nil {
		t.Errorf("refused without a webhook: %v", err)
	}
}
