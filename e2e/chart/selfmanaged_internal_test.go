package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
	"github.com/multus-ipmgr/multus-ipmgr/webhook"
)

// runWebhook runs the webhook as its Deployment would, until the test ends.
func (c *cluster) runWebhook(t *testing.T) *webhook.Server {
	t.Helper()
	deployment, err := c.client.AppsV1().Deployments(namespace).Get(t.Context(), "multus-ipmgr-webhook", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if volumes := deployment.Spec.Template.Spec.Volumes; len(volumes) > 0 {
		t.Errorf("volumes %+v: there is no Secret to mount", volumes)
	}
	arguments := slices.Concat(deployment.Spec.Template.Spec.Containers[0].Args, []string{"--address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--drain=0s"})
	options, err := webhook.ParseOptions(arguments, "v", namespace, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	options.Certificate.Controller = t.Name()
	account, err := c.ConfigFor("system:serviceaccount:" + namespace + ":multus-ipmgr-webhook")
	if err != nil {
		t.Fatal(err)
	}
	server, err := webhook.New(t.Context(), options, account, slog.New(slog.NewTextHandler(t.Output(), nil)))
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
	return server
}

// written is what the webhook wrote: the Secret's content, and the caBundle of
// each of its webhooks.
type written struct {
	Secret  map[string][]byte
	Bundles []string
}

func (c *cluster) written(t *testing.T) written {
	t.Helper()
	secret, err := c.client.CoreV1().Secrets(namespace).Get(t.Context(), "multus-ipmgr-webhook-certificates", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "multus-ipmgr", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	validating, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), "multus-ipmgr", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := written{Secret: secret.Data}
	for _, hook := range mutating.Webhooks {
		w.Bundles = append(w.Bundles, string(hook.ClientConfig.CABundle))
	}
	for _, hook := range validating.Webhooks {
		w.Bundles = append(w.Bundles, string(hook.ClientConfig.CABundle))
	}
	return w
}

// webhooks is how many the chart registers: two that inject, one for networks,
// and five for annotations that come late.
const webhooks = 2 + 1 + 5

// complete holds once there is a certificate, and trusted everywhere.
func (w written) complete() error {
	if len(w.Secret) != 4 || len(w.Bundles) != webhooks {
		return errors.New("no certificate, or not the configurations that there should be")
	}
	for _, bundle := range w.Bundles {
		if bundle == "" || bundle != w.Bundles[0] {
			return errors.New("not every webhook has the authority")
		}
	}
	return nil
}

// Helm, which made the objects, has no part in what the webhook writes there.
func TestUpgradesLeaveSelfManagedCertificatesAlone(t *testing.T) {
	c := startCluster(t)
	self := []string{"multus-ipmgr", directory, "--set", "certificate.mode=selfManaged,controller.enabled=false"}
	c.helm(t, append([]string{"install", "--create-namespace"}, self...), "rollout status deployment/multus-ipmgr-webhook")
	c.runWebhook(t)
	programs.Within(t, moments, "certificate", func() error { return c.written(t).complete() })
	before := c.written(t)
	for name, more := range map[string][]string{
		"the same values": nil,
		"other values":    {"--set", "webhook.timeoutSeconds=7,webhook.excludedNamespaces={a},commonLabels.team=net"},
	} {
		c.helm(t, append(append([]string{"upgrade"}, self...), more...), "rollout status")
		if diff := cmp.Diff(before, c.written(t)); diff != "" {
			t.Errorf("after an upgrade with %s (-before +after):\n%s", name, diff)
		}
	}
	c.helm(t, []string{"rollback", "multus-ipmgr", "1"})
	if diff := cmp.Diff(before, c.written(t)); diff != "" {
		t.Errorf("after a rollback (-before +after):\n%s", diff)
	}
	c.helm(t, []string{"uninstall", "multus-ipmgr"})
	if diff := cmp.Diff([]string{}, c.ours(t)); diff != "" {
		t.Errorf("left behind (-want +got):\n%s", diff)
	}
}

// A release whose certificate was someone's own becomes a self-managed one, and
// one that Helm made anew is filled again.
func TestTheModeCanBeChangedAndTheSecretMadeAgain(t *testing.T) {
	c := startCluster(t)
	c.helm(t, append([]string{"install", "--create-namespace"}, c.release(t)...))
	self := []string{"multus-ipmgr", directory, "--set", "certificate.mode=selfManaged,controller.enabled=false"}
	c.helm(t, append([]string{"upgrade"}, self...))
	c.runWebhook(t)
	programs.Within(t, moments, "certificate", func() error { return c.written(t).complete() })
	before := c.written(t)
	none := []byte(`[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]`)
	if _, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Patch(t.Context(), "multus-ipmgr", types.JSONPatchType, none, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	programs.Within(t, moments, "the authority again", func() error { return c.written(t).complete() })
	if err := c.client.CoreV1().Secrets(namespace).Delete(t.Context(), "multus-ipmgr-webhook-certificates", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // which the webhook must outlive
	c.helm(t, append([]string{"upgrade"}, self...))
	programs.Within(t, moments, "the same certificate", func() error {
		if now := c.written(t); !cmp.Equal(before, now) {
			return errors.New(cmp.Diff(before, now))
		}
		return nil
	})
}
