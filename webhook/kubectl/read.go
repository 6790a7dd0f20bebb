package kubectl

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

var errConfigType = errors.New("spec.config is not text; write the configuration as JSON in a string: config: '{...}'")

// metadata is what is read of any object's.
type metadata struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func metadataOf(raw json.RawMessage) (metadata, error) {
	var fields struct {
		Metadata metadata `json:"metadata"`
	}
	err := manifest.Decode(raw, &fields)
	return fields.Metadata, err
}

// parseNAD reads a NAD's manifest. errConfigType comes with the rest of it.
func parseNAD(namespace, name string, raw json.RawMessage) (nad.Network, error) {
	var fields struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			Config any `json:"config"`
		} `json:"spec"`
	}
	d := nad.Definition{Namespace: namespace, Name: name}
	if err := manifest.Decode(raw, &fields); err != nil {
		return nad.Read(d), fmt.Errorf("cannot be read: %w", err)
	}
	d.Labels, d.Annotations = fields.Metadata.Labels, fields.Metadata.Annotations
	config, isText := fields.Spec.Config.(string)
	if !isText && fields.Spec.Config != nil {
		return nad.Network{Object: d.Object()}, errConfigType
	}
	d.Config = config
	return nad.Read(d), nil
}

// misplacedConfig looks for what stands beside a NAD's spec.config, which the
// API server drops. It takes the place of the finding that there is none.
func misplacedConfig(o *object, found []nad.Finding) (rest, misplaced []nad.Finding) {
	misplaced = o.findings
	var top, meta, spec map[string]json.RawMessage
	if manifest.Decode(o.Raw, &top) != nil || len(top["spec"]) > 0 && manifest.Decode(top["spec"], &spec) != nil {
		return found, misplaced
	}
	_ = manifest.Decode(top["metadata"], &meta) // it was read before
	rule := nad.SettingIgnored
	if spec["config"] == nil {
		rule = nad.ConfigOnDisk
	}
	const text = "the API server drops this; the whole configuration belongs under spec, as JSON in a string: spec: {config: '{...}'}"
	for _, key := range slices.Sorted(maps.Keys(top)) {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "spec", "status"}, key) {
			misplaced = append(misplaced, o.find(rule, key, text))
		}
	}
	for _, key := range []string{"config", "spec"} { // a matter of blanks
		if _, there := meta[key]; there {
			misplaced = append(misplaced, o.find(rule, "metadata."+key, text))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(spec)) {
		if key != "config" {
			misplaced = append(misplaced, o.find(rule, "spec."+key, text))
		}
	}
	if len(misplaced) > len(o.findings) {
		found = slices.DeleteFunc(slices.Clone(found), func(f nad.Finding) bool { return f.Rule == nad.ConfigOnDisk })
	}
	return found, misplaced
}

// parseReservedCIDR reads a ReservedCIDR's manifest.
func parseReservedCIDR(raw json.RawMessage) (nad.Reservation, error) {
	var o v1alpha1.ReservedCIDR
	if err := manifest.Decode(raw, &o); err != nil {
		return nad.Reservation{}, fmt.Errorf("cannot be read: %w", err)
	}
	return o.Reservation()
}
