package nad

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// PluginConfig is what is read of one plugin.
type PluginConfig struct {
	Type  string
	Mode  string // of ipvlan and macvlan
	Field string // "spec.config.plugins[0]", "spec.config" of a single plugin
	// TakesIPs: Multus passes the addresses on that a pod asks for.
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
// out. Addresses that pods ask for are beside them.
func (n Network) Readable() bool {
	return len(n.Plugins) > 0 && !slices.ContainsFunc(n.Plugins, func(p PluginConfig) bool {
		return p.IPAM.Type != "" && p.IPAM.Type != "static" && len(p.IPAM.Pools) == 0
	})
}

// plan reads what the NAD says about addresses, if it is managed. What cannot be
// read is a finding.
func plan(d Definition, n Network) (plugins []PluginConfig, _ []Finding) {
	var found findings
	if errors.Is(n.Problem, ErrBadLabel) {
		found.add(LabelUnknown, "metadata.labels["+ManagedLabel+"]", "%q has no meaning; accepted are \"true\" and \"false\"", d.Labels[ManagedLabel])
	}
	if n.Managed {
		plugins = readPlugins(d.Config, &found)
	}
	return plugins, found.of(n.Object)
}

func readPlugins(config string, found *findings) []PluginConfig {
	file, err := parseDocument(config)
	if err == nil {
		_, err = Parse(config)
	}
	switch {
	case errors.Is(err, ErrNoConfig):
		found.add(ConfigOnDisk, "spec.config", "the configuration is in a file on each worker, which cannot be checked; write it into the NAD, or label the NAD %s=false if its addresses do not belong to ENIs", ManagedLabel)
		return nil
	case err != nil:
		found.add(ConfigMalformed, "spec.config", "Multus refuses this: %v", err)
		return nil
	}
	var plugins []PluginConfig
	for i, raw := range file.sections {
		field := "spec.config"
		if file.list {
			field = fmt.Sprintf("spec.config.plugins[%d]", i)
		}
		plugins = append(plugins, readPlugin(field, raw, file.CNIVersion, found))
	}
	return plugins
}

func readPlugin(field string, raw json.RawMessage, version string, found *findings) PluginConfig {
	var section struct {
		Type         string          `json:"type"`
		Mode         string          `json:"mode"`
		Capabilities map[string]bool `json:"capabilities"`
		IPAM         map[string]any  `json:"ipam"`
	}
	p := PluginConfig{Field: field}
	if err := json.Unmarshal(raw, &section); err != nil {
		found.add(ConfigMalformed, field, "the plugin refuses this: %v", describe(err))
		return p
	}
	p.Type, p.Mode, p.TakesIPs = section.Type, section.Mode, section.Capabilities["ips"]
	r := reader{plugin: field, raw: raw, ipam: IPAM{Field: field + ".ipam", version: version}}
	r.ipam.Type, _ = section.IPAM["type"].(string)
	if r.ipam.Type == "" && len(section.IPAM) > 0 {
		r.add(IPAMMalformed, r.ipam.Field+".type", "no IPAM plugin is named; add one such as \"type\": \"whereabouts\"")
	}
	r.read()
	p.IPAM = r.ipam
	*found = append(*found, r.findings...)
	return p
}
