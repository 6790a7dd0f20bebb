package nad

import (
	"encoding/json"
	"errors"
	"slices"
)

// PluginConfig is what is read of one plugin.
type PluginConfig struct {
	Type  string
	Mode  string // of ipvlan and macvlan
	Field string // "spec.config.plugins[0]", "spec.config" of a single plugin
	// TakesIPs reports whether Multus passes on the addresses that a pod asks for.
	TakesIPs bool
	IPAM     IPAM // the zero IPAM when it asks for no address
}

// Pools returns the pools of all plugins.
func (n Network) Pools() []Pool {
	var pools []Pool
	for _, plugin := range n.Plugins {
		pools = append(pools, plugin.IPAM.Pools...)
	}
	return pools
}

// Ranges returns all addresses that are handed out to pods.
func (n Network) Ranges() []Range {
	var ranges []Range
	for _, pool := range n.Pools() {
		ranges = append(ranges, pool.Ranges...)
	}
	return Union(ranges)
}

// Readable reports whether Ranges are all the addresses that the network hands
// out. Addresses that pods ask for are not included.
func (n Network) Readable() bool {
	return len(n.Plugins) > 0 && !slices.ContainsFunc(n.Plugins, func(p PluginConfig) bool {
		return p.IPAM.unread || p.IPAM.Type != "" && p.IPAM.Type != "static" && len(p.IPAM.Pools) == 0
	})
}

// plan reads what the NAD says about addresses, if it is managed. What cannot be
// read is a finding.
func plan(d Definition, n Network, file document, err error) (plugins []PluginConfig, _ []Finding) {
	var found findings
	if errors.Is(n.Problem, ErrBadLabel) {
		found.add(LabelUnknown, "metadata.labels["+ManagedLabel+"]", "%q has no meaning; accepted are \"true\" and \"false\"", d.Labels[ManagedLabel])
	}
	switch {
	case n.Managed:
		plugins = readPlugins(d, file, err, &found)
	case d.Labels[ManagedLabel] != "false":
		misspelt(file, &found)
	}
	return plugins, found.of(n.Object)
}

// misspelt looks for types that are nearly those of known plugins, as
// "ipvaln" is not managed.
func misspelt(file document, found *findings) {
	for i, raw := range file.sections {
		if p, err := parsePlugin(raw); err == nil {
			found.kind(file.field(i), p.Type)
		}
	}
}

// readPlugins reads the plugins of a document, unless err says why Multus
// refuses it.
func readPlugins(d Definition, file document, err error, found *findings) []PluginConfig {
	switch {
	case errors.Is(err, ErrNoConfig):
		found.add(ConfigOnDisk, "spec.config", "the configuration is in a file on each worker, which cannot be checked; write it into the NAD, or label the NAD %s=false if its addresses do not belong to ENIs", ManagedLabel)
		return nil
	case errors.Is(err, ErrTooLarge):
		found.add(TooLarge, "spec.config", "%v; make it smaller, or label the NAD %s=false if its addresses do not belong to ENIs", err, ManagedLabel)
		return nil
	case err != nil:
		found.add(ConfigMalformed, "spec.config", "Multus refuses this: %v", err)
		return nil
	}
	found.runs(file)
	if file.list {
		found.keys("the CNI library", "spec.config", members(json.RawMessage(d.Config)), commonKeys(), otherKeys(), nil)
	}
	var plugins []PluginConfig
	made := ""
	var sums tally
	for i, raw := range file.sections {
		p := readPlugin(file, i, raw, d.Annotations[ResourceAnnotation] != "", &sums, found)
		if plugins = append(plugins, p); !makesInterface(p.Type) {
			continue
		}
		if made != "" {
			found.add(PluginMalformed, p.Field+".type", "%s fails: %s already created the pod's interface, and a list creates only one; write a NAD for each interface", p.Type, made)
		}
		made = p.Type
	}
	return plugins
}

func readPlugin(file document, i int, raw json.RawMessage, resource bool, sums *tally, found *findings) PluginConfig {
	var section struct {
		Type         string          `json:"type"`
		Mode         string          `json:"mode"`
		Capabilities map[string]bool `json:"capabilities"`
		IPAM         struct {
			Type string `json:"type"`
		} `json:"ipam"`
	}
	p := PluginConfig{Field: file.field(i)}
	if err := decode(raw, &section); err != nil {
		found.refused(ConfigMalformed, "the plugin", p.Field, err)
		return p
	}
	p.Type, p.Mode, p.TakesIPs = section.Type, section.Mode, section.Capabilities["ips"]
	found.kind(p.Field, p.Type)
	found.section(p.Type, p.Field, raw)
	pluginReader{field: p.Field, raw: raw, first: i == 0, resource: resource, findings: found}.read(p.Type)
	r := reader{plugin: p.Field, raw: raw, section: members(members(raw).member("ipam")), sums: sums, ipam: IPAM{Type: section.IPAM.Type, Field: p.Field + ".ipam", version: file.CNIVersion}}
	if section.IPAM.Type == "" && len(r.section) > 0 {
		r.add(IPAMMalformed, r.ipam.Field+".type", "no IPAM plugin is named; add one such as \"type\": \"whereabouts\"")
	}
	r.meant = found.meant
	r.read()
	p.IPAM = r.ipam
	found.merge(r.findings)
	for _, name := range []*string{&p.Type, &p.Mode, &p.IPAM.Type, &p.IPAM.NetworkName, &p.IPAM.version} {
		*name = shorten(*name, maxName)
	}
	return p
}
