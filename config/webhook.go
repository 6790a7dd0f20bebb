// Package config is the manifests as they are installed. It embeds them so
// that tests and the demo apply the very same files.
package config

import (
	_ "embed"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

//go:embed webhook/mutating.yaml
var mutatingWebhook []byte

//go:embed rbac/webhook.yaml
var webhookRBAC []byte

// WebhookRBAC returns the manifests of the webhook's service account and of
// what it may read, as YAML documents.
func WebhookRBAC() []byte { return webhookRBAC }

// MutatingWebhook returns the webhook's configuration for a webhook outside
// the cluster: its service is replaced by the URL (https://host:port, without
// a path), and caBundle (PEM) is set.
func MutatingWebhook(url string, caBundle []byte) (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	var configuration admissionregistrationv1.MutatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(mutatingWebhook, &configuration); err != nil {
		return nil, fmt.Errorf("config/webhook/mutating.yaml: %w", err)
	}
	for i := range configuration.Webhooks {
		client := &configuration.Webhooks[i].ClientConfig
		if client.Service == nil || client.Service.Path == nil {
			return nil, fmt.Errorf("config/webhook/mutating.yaml: webhook %s has no service with a path", configuration.Webhooks[i].Name)
		}
		target := url + *client.Service.Path
		client.URL, client.Service, client.CABundle = &target, nil, caBundle
	}
	return &configuration, nil
}
