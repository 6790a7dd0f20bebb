package kubectl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// bundle is the objects of all files, and what they say about each other.
type bundle struct {
	documents    []manifest.Document
	objects      []object
	networks     definitions[nad.Network] // by "namespace/name"
	namespaces   definitions[inject.Namespace]
	ranges       *nad.Index // what the NADs hand out
	reservations []nad.Reservation
	scaled       scaled // what autoscalers let workloads have
}

// object is an object with its place in the bundle.
type object struct {
	manifest.Object
	document int
	file     string
	network  nad.Network   // of a NAD
	findings []nad.Finding // in how it is written
}

// id is the "namespace/name" of the object, or its name if its kind is of no
// namespace.
func (o object) id() string {
	if o.is("", "Namespace") || o.is(groupOurs, "ReservedCIDR") {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

// find is a finding in how the object is written.
func (o object) find(rule nad.Rule, field, message string) nad.Finding {
	return nad.Finding{Object: o.id(), Severity: rule.Severity(), Rule: rule, Field: field, Message: message}
}

// newBundle sorts the objects. Those without a namespace get the given one.
func newBundle(documents []manifest.Document, namespace string) (*bundle, error) {
	b := &bundle{documents: documents, networks: definitions[nad.Network]{}, namespaces: definitions[inject.Namespace]{}, ranges: nad.NewIndex(), scaled: scaled{}}
	for i, d := range documents {
		objects, err := d.Objects()
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if o.Namespace == "" {
				o.Namespace = namespace
			}
			noted := object{Object: o, document: i, file: d.File}
			if err := b.note(&noted); err != nil {
				return nil, fmt.Errorf("%s: %s %s: %w", d.Source, o.Kind, o.Name, err)
			}
			b.objects = append(b.objects, noted)
		}
	}
	return b, nil
}

// note remembers what an object says about others.
func (b *bundle) note(o *object) error {
	switch {
	case o.is("", "Namespace"):
		return b.noteNamespace(o)
	case o.is(groupNAD, "NetworkAttachmentDefinition"):
		return b.noteNAD(o)
	case o.is(groupOurs, "ReservedCIDR"):
		r, err := parseReservedCIDR(o.Raw)
		b.reservations = append(b.reservations, r)
		return err
	case o.is("autoscaling", "HorizontalPodAutoscaler"):
		b.scaled.note(o)
	}
	return nil
}

// is reports whether the object is of a group, in any version, and a kind.
func (o object) is(group, kind string) bool { return o.Kind == kind && o.group() == group }

// group is the object's API group, which is empty for Kubernetes's own v1.
func (o object) group() string {
	group, _, grouped := strings.Cut(o.APIVersion, "/")
	if !grouped {
		return ""
	}
	return group
}

func (b *bundle) noteNamespace(o *object) error {
	m, err := metadataOf(o.Raw)
	b.namespaces.add(o.Name, o.file, inject.Namespace{Name: o.Name, Labels: m.Labels, Annotations: m.Annotations})
	return err
}

func (b *bundle) noteNAD(o *object) error {
	network, err := parseNAD(o.Namespace, o.Name, o.Raw)
	if errors.Is(err, errConfigType) {
		o.findings = append(o.findings, o.find(nad.ConfigMalformed, "spec.config", err.Error()))
		err = nil
	}
	if err == nil {
		network.Findings, o.findings = misplacedConfig(o, network.Findings)
	}
	o.network = network
	b.ranges.Put(network)
	b.networks.add(network.Object, o.file, network)
	return err
}

// finder looks up NADs for what is in a file: the variant-th definition of
// each, or its last.
func (b *bundle) finder(file string, variant int) inject.FindNAD {
	return func(namespace, name string) (nad.Network, bool) {
		candidates := b.networks.nearest(namespace+"/"+name, file)
		if len(candidates) == 0 {
			return nad.Network{}, false
		}
		return candidates[min(variant, len(candidates)-1)], true
	}
}

// last makes a finder take the last definition of each NAD.
const last = 1 << 30

// mostVariants is how many definitions of one name a pod is checked against.
const mostVariants = 16

// variants is how many definitions the NADs of a pod have at most.
func (b *bundle) variants(file string, selections []nad.Selection) int {
	most := 1
	for _, s := range selections {
		most = max(most, len(b.networks.nearest(s.Namespace+"/"+s.Name, file)))
	}
	return min(most, mostVariants)
}
