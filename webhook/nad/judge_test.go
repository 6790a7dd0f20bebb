package nad_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// multusReads decodes a configuration with CNI's own types in the order in
// which Multus does: as one plugin, and if that has no type, as a list.
func multusReads(text string) bool {
	var named map[string]any // the network's name is put in, which needs a map
	var plugin types.PluginConf
	if json.Unmarshal([]byte(text), &named) != nil || named == nil || json.Unmarshal([]byte(text), &plugin) != nil {
		return false
	}
	if plugin.Type != "" {
		return true
	}
	var list types.NetConfList
	return json.Unmarshal([]byte(text), &list) == nil && len(list.Plugins) > 0 && list.Plugins[0] != nil && list.Plugins[0].Type != ""
}

// FuzzParseAgainstCNI looks for configurations that Multus reads and we refuse,
// and for the reverse. We refuse some that Multus reads and no plugin can be run with: lists with
// later plugins that are null or have no type.
func FuzzParseAgainstCNI(f *testing.F) {
	for _, cases := range [][]planCase{whereaboutsCases, hostLocalCases, otherCases} {
		for _, c := range cases {
			f.Add(c.config)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := nad.Parse(text)
		if reads := multusReads(text); err == nil && !reads {
			t.Errorf("%q is accepted, and Multus does not read it", text)
		} else if err != nil && reads && !laterPluginIsBroken(text) {
			t.Errorf("%q is refused, and Multus reads it: %v", text, err)
		}
	})
}

func laterPluginIsBroken(text string) bool {
	var list types.NetConfList
	if json.Unmarshal([]byte(text), &list) != nil {
		return false
	}
	return slices.ContainsFunc(list.Plugins, func(p *types.PluginConf) bool { return p == nil || p.Type == "" })
}

// hostLocalGives is what the host-local plugin itself makes of a configuration.
func hostLocalGives(text string) ([]nad.Range, bool) {
	config, _, err := allocator.LoadIPAMConfig([]byte(text), "")
	if err != nil {
		return nil, false
	}
	var ranges []nad.Range
	for _, set := range config.Ranges {
		for _, r := range set {
			first, _ := netip.AddrFromSlice(r.RangeStart)
			last, _ := netip.AddrFromSlice(r.RangeEnd)
			gateway, _ := netip.AddrFromSlice(r.Gateway)
			ranges = append(ranges, nad.Subtract([]nad.Range{{First: first, Last: last}}, []nad.Range{{First: gateway, Last: gateway}})...)
		}
	}
	return nad.Union(ranges), true
}

// FuzzHostLocalAgainstThePlugin compares what we read with what host-local
// reads: whether it accepts a configuration, and which addresses it gives.
func FuzzHostLocalAgainstThePlugin(f *testing.F) {
	for _, c := range hostLocalCases {
		f.Add(c.config)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var section struct {
			CNIVersion string `json:"cniVersion"`
			IPAM       struct{ Type string }
		}
		if json.Unmarshal([]byte(text), &section) != nil || section.IPAM.Type != "host-local" {
			return
		}
		if !slices.Contains([]string{"", "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}, section.CNIVersion) {
			return // no plugin runs
		}
		network := nad.Read(nad.Definition{Config: text})
		if len(network.Plugins) != 1 || network.Plugins[0].IPAM.Type != "host-local" {
			return
		}
		refused := slices.ContainsFunc(network.Findings, func(f nad.Finding) bool { return f.Rule == nad.IPAMMalformed })
		want, accepted := hostLocalGives(text)
		if accepted == refused {
			t.Fatalf("host-local accepts %q: %t; findings %v", text, accepted, network.Findings)
		}
		if accepted {
			if diff := cmp.Diff(texts(want), texts(network.Ranges())); diff != "" {
				t.Errorf("%q (-host-local +ours):\n%s", text, diff)
			}
		}
	})
}
