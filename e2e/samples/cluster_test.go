package samples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
	"github.com/multus-ipmgr/multus-ipmgr/webhook"
)

const system = "multus-ipmgr-system"

// cluster is a real API server.
type cluster struct {
	*controlplane.ControlPlane
	client kubernetes.Interface
	all    dynamic.Interface
	mapper meta.RESTMapper
}

func start(t *testing.T) cluster {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, err := range []error{
		plane.InstallNADs(t.Context()), plane.InstallCRD(t.Context(), config.ReservedCIDRs()),
		plane.CreateNamespace(t.Context(), "multus-samples", nil), plane.CreateNamespace(t.Context(), system, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	groups, err := restmapper.GetAPIGroupResources(discovery.NewDiscoveryClientForConfigOrDie(plane.Config()))
	if err != nil {
		t.Fatal(err)
	}
	return cluster{
		ControlPlane: plane, client: kubernetes.NewForConfigOrDie(plane.Config()), all: dynamic.NewForConfigOrDie(plane.Config()),
		mapper: restmapper.NewDiscoveryRESTMapper(groups),
	}
}

// apply sends an object as kubectl apply --server-side does, with DryRunAll as
// --dry-run=server besides.
func (c cluster) apply(t *testing.T, o *unstructured.Unstructured, dry ...string) error {
	t.Helper()
	data, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	kind := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	force := true // the namespaces are there already
	options := metav1.PatchOptions{FieldManager: "kubectl", FieldValidation: metav1.FieldValidationStrict, Force: &force, DryRun: dry}
	resource := c.all.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		_, err = resource.Namespace(o.GetNamespace()).Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, options)
		return err
	}
	_, err = resource.Patch(t.Context(), o.GetName(), types.ApplyPatchType, data, options)
	return err
}

// install runs the webhook with the rights and the registration of config,
// until the test ends.
func (c cluster) install(t *testing.T) {
	t.Helper()
	for _, o := range objects(t, string(config.WebhookRBAC())) {
		if err := c.apply(t, &o); err != nil {
			t.Fatal(err)
		}
	}
	server, bundle := c.serve(t)
	programs.Within(t, moments, "the webhook is ready", func() error { return probe(t.Context(), "http://"+server.OpsAddress()+"/readyz") })
	pods, err := config.MutatingWebhook("https://"+server.Address(), bundle)
	if err != nil {
		t.Fatal(err)
	}
	networks, err := config.ValidatingWebhook("https://"+server.Address(), bundle)
	if err != nil {
		t.Fatal(err)
	}
	registration := c.client.AdmissionregistrationV1()
	if _, err := registration.MutatingWebhookConfigurations().Create(t.Context(), pods, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := registration.ValidatingWebhookConfigurations().Create(t.Context(), networks, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c cluster) serve(t *testing.T) (server *webhook.Server, bundle []byte) {
	t.Helper()
	tls, bundle := certificate(t)
	options, err := webhook.ParseOptions([]string{
		"--image=i", "--address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--drain=0s", "--cert-dir=" + tls,
	}, "v", system, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	account, err := c.ConfigFor("system:serviceaccount:" + system + ":multus-ipmgr-webhook")
	if err != nil {
		t.Fatal(err)
	}
	server, err = webhook.New(t.Context(), options, account, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server, bundle
}

// certificate returns a directory with a serving certificate for loopback, and
// its authority.
func certificate(t *testing.T) (dir string, bundle []byte) {
	t.Helper()
	dir = t.TempDir()
	ca, err := testca.New("samples")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(testca.Request{Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir, ca.PEM
}

func probe(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

func TestARealAPIServerAcceptsTheSamples(t *testing.T) {
	c := start(t)
	all := objects(t, injected(t))
	for _, file := range files(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects(t, string(data))...)
	}
	for _, o := range all {
		if err := c.apply(t, &o, metav1.DryRunAll); err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	// The test can fail: a field that Kubernetes does not know is refused.
	odd := objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd, namespace: multus-samples}\ndatum: {}\n")
	if err := c.apply(t, &odd[0], metav1.DryRunAll); err == nil {
		t.Error("an unknown field was accepted")
	}
}

// The samples go into a cluster with the webhook, which enforces the checks, and
// their pods are made as a Deployment's controller makes them.
func TestTheWebhookInjectsThePodsOfTheSamples(t *testing.T) {
	c := start(t)
	c.install(t)
	var workloads []unstructured.Unstructured
	for _, o := range inOrder(t) {
		programs.Within(t, moments, "apply "+o.GetName(), func() error { return c.apply(t, &o) })
		if _, is := template(t, &o); is {
			workloads = append(workloads, o)
		}
	}
	for _, o := range workloads {
		made, _ := template(t, &o)
		pod := &corev1.Pod{ObjectMeta: made.ObjectMeta, Spec: made.Spec}
		pod.Name = o.GetName()
		programs.Within(t, moments, "injection of "+o.GetName(), func() error {
			got, err := c.client.CoreV1().Pods("multus-samples").Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				return err
			}
			if len(got.Spec.InitContainers) != 1 || got.Spec.InitContainers[0].Name != "multus-ipmgr" {
				return fmt.Errorf("init containers %+v", got.Spec.InitContainers)
			}
			return nil
		})
	}
	if len(workloads) != 6 {
		t.Errorf("%d workloads, want 6", len(workloads))
	}
}

// moments is how long a cluster may take to take something over, on a busy machine.
const moments = 30 * time.Second
