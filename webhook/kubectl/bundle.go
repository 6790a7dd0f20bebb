package kubectl

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// bundle is the objects of all files, and what they say about each other.
type bundle struct {
	documents    []manifest.Document
	objects      []object
	networks     map[string]nad.Network // by "namespace/name"
	namespaces   map[string]inject.Namespace
	reservations []nad.Reservation
	findings     []nad.Finding // in what could not be read
}

// object is an object with its place in the bundle.
type object struct {
	manifest.Object
	document int
}

// id is the "namespace/name" of the object.
func (o object) id() string { return o.Namespace + "/" + o.Name }

// newBundle sorts the objects. Those without a namespace get the given one.
func newBundle(documents []manifest.Document, namespace string) (*bundle, error) {
	b := &bundle{documents: documents, networks: map[string]nad.Network{}, namespaces: map[string]inject.Namespace{}}
	for i, d := range documents {
		objects, err := d.Objects()
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if o.Namespace == "" {
				o.Namespace = namespace
			}
			b.objects = append(b.objects, object{o, i})
			if err := b.note(o); err != nil {
				return nil, fmt.Errorf("%s: %s %s: %w", d.Source, o.Kind, o.Name, err)
			}
		}
	}
	return b, nil
}

// note remembers what an object says about others.
func (b *bundle) note(o manifest.Object) error {
	group, _, _ := strings.Cut(o.APIVersion, "/")
	switch group + " " + o.Kind {
	case "v1 Namespace":
		return b.noteNamespace(o)
	case "k8s.cni.cncf.io NetworkAttachmentDefinition":
		return b.noteNAD(o)
	case "multus-ipmgr.io ReservedCIDR":
		r, err := parseReservedCIDR(o.Raw)
		b.reservations = append(b.reservations, r)
		return err
	}
	return nil
}

func (b *bundle) noteNamespace(o manifest.Object) error {
	var fields struct {
		Metadata struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	err := manifest.Decode(o.Raw, &fields)
	b.namespaces[o.Name] = inject.Namespace{Name: o.Name, Labels: fields.Metadata.Labels, Annotations: fields.Metadata.Annotations}
	return err
}

func (b *bundle) noteNAD(o manifest.Object) error {
	network, err := parseNAD(o.Namespace, o.Name, o.Raw)
	if errors.Is(err, errConfigType) {
		b.findings = append(b.findings, nad.Finding{
			Object: network.Object, Severity: nad.ConfigMalformed.Severity(), Rule: nad.ConfigMalformed, Field: "spec.config", Message: err.Error(),
		})
		err = nil
	}
	b.networks[network.Object] = network
	return err
}

var errConfigType = errors.New("spec.config is no text; write the configuration as JSON in a string: config: '{...}'")

// parseNAD reads a NAD's manifest. errConfigType comes with the rest of it.
func parseNAD(namespace, name string, raw json.RawMessage) (nad.Network, error) {
	var fields struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec struct {
			Config any `json:"config"`
		} `json:"spec"`
	}
	d := nad.Definition{Namespace: namespace, Name: name}
	if err := manifest.Decode(raw, &fields); err != nil {
		return nad.Read(d), fmt.Errorf("cannot be read: %w", err)
	}
	d.Labels = fields.Metadata.Labels
	config, isText := fields.Spec.Config.(string)
	if !isText && fields.Spec.Config != nil {
		return nad.Network{Object: d.Object()}, errConfigType
	}
	d.Config = config
	return nad.Read(d), nil
}

// parseReservedCIDR reads a ReservedCIDR's manifest. One that asks for a
// reservation that EC2 does not hold is the zero Reservation, which covers
// nothing.
func parseReservedCIDR(raw json.RawMessage) (nad.Reservation, error) {
	var fields struct {
		Spec struct {
			CIDR             string `json:"cidr"`
			Type             string `json:"type"`
			SubnetID         string `json:"subnetID"`
			SubnetCIDR       string `json:"subnetCIDR"`
			AvailabilityZone string `json:"availabilityZone"`
			Create           bool   `json:"create"`
		} `json:"spec"`
		Status struct {
			Conditions []struct {
				Type   string `json:"type"`
				Status string `json:"status"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := manifest.Decode(raw, &fields); err != nil {
		return nad.Reservation{}, fmt.Errorf("cannot be read: %w", err)
	}
	s := fields.Spec
	for _, c := range fields.Status.Conditions {
		if s.Create && c.Type == "Reserved" && c.Status == "False" {
			return nad.Reservation{}, nil
		}
	}
	return nad.ParseReservation(s.CIDR, s.Type, s.SubnetID, s.SubnetCIDR, s.AvailabilityZone)
}

// network looks up a NAD of the files.
func (b *bundle) network(namespace, name string) (nad.Network, bool) {
	network, found := b.networks[namespace+"/"+name]
	return network, found
}

// ranges knows what the NADs of the files hand out.
func (b *bundle) ranges() *nad.Index {
	return nad.NewIndex(slices.Collect(maps.Values(b.networks))...)
}
