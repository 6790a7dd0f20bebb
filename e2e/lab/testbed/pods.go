package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	client "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Apply creates the objects of manifests, which name their namespaces.
func (l *Lab) Apply(ctx context.Context, manifests []byte) error {
	return l.ApplyIn(ctx, "", manifests)
}

// ApplyIn creates the objects of manifests. Those of a namespaced kind that name
// no namespace go into the given one.
func (l *Lab) ApplyIn(ctx context.Context, namespace string, manifests []byte) error {
	config := l.Config()
	config.WarningHandler = rest.NoWarnings{} // of admission; what matters, tests look for
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	mapper, err := l.mapper()
	if err != nil {
		return err
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 1<<12); ; {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
		kind := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return err
		}
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace && object.GetNamespace() == "" {
			object.SetNamespace(namespace)
		}
		_, err = objects.Resource(mapping.Resource).Namespace(object.GetNamespace()).Create(ctx, object, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create %s %s: %w", kind.Kind, object.GetName(), err)
		}
	}
}

func (l *Lab) mapper() (meta.RESTMapper, error) {
	d, err := discovery.NewDiscoveryClientForConfig(l.Config())
	if err != nil {
		return nil, err
	}
	groups, err := restmapper.GetAPIGroupResources(d)
	if err != nil {
		return nil, err
	}
	return restmapper.NewDiscoveryRESTMapper(groups), nil
}

// Pod is where a pod is on its networks.
type Pod struct {
	Name, Worker string
	// Address is its address on the workers' first network.
	Address netip.Addr
	// Networks are the addresses of its other interfaces, by their names.
	Networks map[string][]netip.Addr
}

// AwaitPod waits until a pod is Ready.
func (l *Lab) AwaitPod(ctx context.Context, namespace, name string) (Pod, error) {
	kube, err := client.NewForConfig(l.Config())
	if err != nil {
		return Pod{}, err
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		pod, err := kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && isPodReady(pod) {
			return podOf(pod)
		}
		if err := l.alive(); err != nil {
			return Pod{}, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Pod{}, fmt.Errorf("pod %s/%s is not Ready: %w; last: %w", namespace, name, ctx.Err(), errors.Join(err, l.explain(context.WithoutCancel(ctx), namespace, name)))
		}
	}
}

// explain returns the pod's events, which say why it is not Ready.
func (l *Lab) explain(ctx context.Context, namespace, pod string) error {
	kube, err := client.NewForConfig(l.Config())
	if err != nil {
		return err
	}
	events, err := kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod})
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range events.Items {
		errs = append(errs, errors.New(e.Reason+": "+e.Message))
	}
	return errors.Join(errs...)
}

func isPodReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// networkStatus is where Multus says what it did.
const networkStatus = "k8s.v1.cni.cncf.io/network-status"

func podOf(p *corev1.Pod) (Pod, error) {
	address, err := netip.ParseAddr(p.Status.PodIP)
	if err != nil {
		return Pod{}, fmt.Errorf("pod %s: %w", p.Name, err)
	}
	pod := Pod{Name: p.Name, Worker: p.Spec.NodeName, Address: address, Networks: map[string][]netip.Addr{}}
	text, ok := p.Annotations[networkStatus]
	if !ok {
		return pod, nil
	}
	var networks []struct {
		Interface string
		IPs       []netip.Addr
		Default   bool
	}
	if err := json.Unmarshal([]byte(text), &networks); err != nil {
		return Pod{}, fmt.Errorf("pod %s: %s: %w", p.Name, networkStatus, err)
	}
	for _, n := range networks {
		if !n.Default {
			pod.Networks[n.Interface] = n.IPs
		}
	}
	return pod, nil
}
