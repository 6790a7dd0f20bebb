// Package config is the manifests as they are installed with kustomize, which
// make generate makes of the chart. It embeds them so that tests and the demo
// apply the very same files.
package config

import (
	_ "embed"
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

//go:embed cert-manager/mutating.yaml
var mutatingWebhook []byte

//go:embed cert-manager/validating.yaml
var validatingWebhook []byte

//go:embed webhook/rbac.yaml
var webhookRBAC []byte

// WebhookRBAC returns the manifests of the webhook's service account and of
// what it may read, as YAML documents.
func WebhookRBAC() []byte { return webhookRBAC }

// MutatingWebhook returns the configuration that has pods injected, for a
// webhook outside the cluster: its service is replaced by the URL
// (https://host:port, without a path), and caBundle (PEM) is set.
func MutatingWebhook(url string, caBundle []byte) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	var configuration admissionregistrationv1.MutatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(mutatingWebhook, &configuration); err != nil {
		return nil, fmt.Errorf("config/cert-manager/mutating.yaml: %w", err)
	}
	for i := range configuration.Webhooks {
		if err := outside(&configuration.Webhooks[i].ClientConfig, url, caBundle); err != nil {
			return nil, fmt.Errorf("config/cert-manager/mutating.yaml: webhook %s: %w", configuration.Webhooks[i].Name, err)
		}
	}
	return &configuration, nil
}

// ValidatingWebhook returns the configuration that has
// NetworkAttachmentDefinitions checked, for a webhook outside the cluster as
// MutatingWebhook does.
func ValidatingWebhook(url string, caBundle []byte) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	var configuration admissionregistrationv1.ValidatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(validatingWebhook, &configuration); err != nil {
		return nil, fmt.Errorf("config/cert-manager/validating.yaml: %w", err)
	}
	for i := range configuration.Webhooks {
		if err := outside(&configuration.Webhooks[i].ClientConfig, url, caBundle); err != nil {
			return nil, fmt.Errorf("config/cert-manager/validating.yaml: webhook %s: %w", configuration.Webhooks[i].Name, err)
		}
	}
	return &configuration, nil
}

// outside replaces the service that is called by a URL.
func outside(client *admissionregistrationv1.WebhookClientConfig, url string, caBundle []byte) error {
	if client.Service == nil || client.Service.Path == nil {
		return errors.New("it has no service with a path")
	}
	target := url + *client.Service.Path
	client.URL, client.Service, client.CABundle = &target, nil, caBundle
	return nil
}
