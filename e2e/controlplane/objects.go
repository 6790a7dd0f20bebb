package controlplane

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// nadCRD is the resource of the Network Plumbing Working Group's
// multi-network specification, version 1.3, section 3.
//
//go:embed networks-crd.yaml
var nadCRD []byte

// CreateNamespace makes a namespace with its default ServiceAccount, without
// which the API server admits no pod there.
func (cp *ControlPlane) CreateNamespace(ctx context.Context, name string, labels map[string]string) error {
	client, err := kubernetes.NewForConfigAndClient(cp.config, cp.client)
	if err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: name}}
	_, err = client.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) { // a controller manager was faster
		return fmt.Errorf("create the service account of namespace %s: %w", name, err)
	}
	return nil
}

// InstallNADs installs the CustomResourceDefinition of
// NetworkAttachmentDefinition and returns when the API server serves it.
func (cp *ControlPlane) InstallNADs(ctx context.Context) error {
	return cp.InstallCRD(ctx, nadCRD)
}

// InstallCRD installs a CustomResourceDefinition, in YAML, and returns when
// the API server serves it.
func (cp *ControlPlane) InstallCRD(ctx context.Context, manifest []byte) error {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(manifest, &crd); err != nil {
		return fmt.Errorf("parse the CRD: %w", err)
	}
	client, err := apiextensions.NewForConfigAndClient(cp.config, cp.client)
	if err != nil {
		return err
	}
	crds := client.ApiextensionsV1().CustomResourceDefinitions()
	if _, err := crds.Create(ctx, &crd, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create CRD %s: %w", crd.Name, err)
	}
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		now, err := crds.Get(ctx, crd.Name, metav1.GetOptions{})
		return err == nil && established(now), err
	})
	if err != nil {
		return fmt.Errorf("wait for CRD %s: %w", crd.Name, err)
	}
	return cp.served(ctx, &crd)
}

func established(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
}

// served waits until discovery knows the resource: a RESTMapper asks there.
func (cp *ControlPlane) served(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) error {
	client, err := kubernetes.NewForConfigAndClient(cp.config, cp.client)
	if err != nil {
		return err
	}
	version := crd.Spec.Group + "/" + crd.Spec.Versions[0].Name
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		list, err := client.Discovery().ServerResourcesForGroupVersion(version)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool {
			return r.Name == crd.Spec.Names.Plural
		}), err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("discovery does not list %s: %w", crd.Name, err)
	}
	return err
}
