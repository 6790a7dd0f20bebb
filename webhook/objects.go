package webhook

import (
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/json"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// The kinds that decisions need.
func namespaceKind() schema.GroupVersionKind { return corev1.SchemeGroupVersion.WithKind("Namespace") }
func reservationKind() schema.GroupVersionKind {
	return v1alpha1.GroupVersion().WithKind("ReservedCIDR")
}
func networkKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"}
}

// newScheme knows NADs and ReservedCIDRs. Of Namespaces the metadata is read,
// which needs no type.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	kind := networkKind()
	version := kind.GroupVersion()
	scheme.AddKnownTypeWithName(kind, &network{})
	scheme.AddKnownTypeWithName(version.WithKind(kind.Kind+"List"), &networkList{})
	metav1.AddToGroupVersion(scheme, version)
	return scheme, v1alpha1.AddToScheme(scheme)
}

// newMapper knows where the kinds are served. It does not ask the
// API server, which may not serve them yet and would be asked again and again.
func newMapper(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(namespaceKind(), meta.RESTScopeRoot)
	mapper.Add(reservationKind(), meta.RESTScopeRoot)
	kind := networkKind()
	version := kind.GroupVersion()
	mapper.AddSpecific(kind, version.WithResource("network-attachment-definitions"), version.WithResource("network-attachment-definition"), meta.RESTScopeNamespace)
	return mapper, nil
}

// network is a NetworkAttachmentDefinition, which is read once and not once for
// each pod: its text is gone as soon as its meaning is known.
type network struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec  networkSpec  `json:"spec,omitzero"`
	means *nad.Network // nil until it was read
}

// networkSpec is the text, or why there is none.
type networkSpec struct {
	config string
	err    error
}

// UnmarshalJSON implements json.Unmarshaler. One object that cannot be read must
// not make the list of all unreadable.
func (s *networkSpec) UnmarshalJSON(text []byte) error {
	var spec struct {
		Config string `json:"config"`
	}
	err := json.UnmarshalCaseSensitivePreserveInts(text, &spec)
	*s = networkSpec{config: spec.Config, err: err}
	return nil
}

// DeepCopyObject implements runtime.Object. Nobody changes what is cached.
func (n *network) DeepCopyObject() runtime.Object {
	c := *n
	return &c
}

// read says what the network means, and drops all else.
func (n *network) read() nad.Network {
	if n.means == nil {
		means := nad.Unknown(n.Spec.err)
		if n.Spec.err == nil {
			means = nad.Read(nad.Definition{Namespace: n.Namespace, Name: n.Name, Labels: n.Labels, Annotations: n.Annotations, Config: n.Spec.config}).Kept()
		}
		n.means, n.Spec = &means, networkSpec{}
		n.ObjectMeta = identity(n.ObjectMeta)
	}
	return *n.means
}

// networkList is a list of networks.
type networkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []network `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *networkList) DeepCopyObject() runtime.Object {
	c := *l
	return &c
}

// identity is the metadata by which caches know an object.
func identity(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, ResourceVersion: m.ResourceVersion}
}

// reduceNetwork is for feed.Resource, as those below.
func reduceNetwork(object any) (any, error) {
	if n, ok := object.(*network); ok {
		n.read()
	}
	return object, nil
}

func newNamespace() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(namespaceKind())
	return o
}

// reduceNamespace keeps of labels and annotations what is ours, or was meant to
// be: others may be many and long.
func reduceNamespace(object any) (any, error) {
	if o, ok := object.(*metav1.PartialObjectMetadata); ok {
		labels := inject.Kept(inject.KindNamespace, o.Labels, true)
		annotations := inject.Kept(inject.KindNamespace, o.Annotations, false)
		o.ObjectMeta = identity(o.ObjectMeta)
		o.Labels, o.Annotations = labels, annotations
	}
	return object, nil
}

func namespaceOf(o *metav1.PartialObjectMetadata) inject.Namespace {
	return inject.Namespace{Name: o.Name, Labels: o.Labels, Annotations: o.Annotations}
}

// reduceReservation keeps what says whether an object counts, and for what.
func reduceReservation(object any) (any, error) {
	if o, ok := object.(*v1alpha1.ReservedCIDR); ok {
		o.ObjectMeta = identity(o.ObjectMeta)
		o.Status = v1alpha1.ReservedCIDRStatus{Conditions: o.Status.Conditions}
	}
	return object, nil
}
