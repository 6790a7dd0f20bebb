package nad_test

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"
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
	if json.Unmarshal([]byte(text), &list) != nil || len(list.Plugins) == 0 || list.Plugins[0] == nil || list.Plugins[0].Type == "" {
		return false
	}
	return true
}

// libraryTakes reports whether the CNI library takes what Multus then hands it,
// with the network's name put in.
func libraryTakes(text string) bool {
	var named map[string]any
	if json.Unmarshal([]byte(text), &named) != nil || named == nil {
		return false
	}
	if name, ok := named["name"]; !ok || name == "" {
		named["name"] = "net-a"
		renamed, err := json.Marshal(named)
		if err != nil {
			return false
		}
		text = string(renamed)
	}
	var single types.PluginConf
	if json.Unmarshal([]byte(text), &single) == nil && single.Type != "" {
		return utils.ValidateNetworkName(single.Name) == nil
	}
	list, err := libcni.NetworkConfFromBytes([]byte(text))
	return err == nil && utils.ValidateNetworkName(list.Name) == nil
}

// FuzzParseAgainstCNI looks for configurations that Multus reads and we refuse,
// and for the reverse. We refuse some that Multus reads and no plugin can be run with: lists with
// later plugins that are null or have no type.
func FuzzParseAgainstCNI(f *testing.F) {
	for _, cases := range [][]planCase{whereaboutsCases, hostLocalCases, otherCases, sectionCases} {
		for _, c := range cases {
			f.Add(c.config)
		}
	}
	for _, c := range []string{
		`{"name":null,"type":"a"}`, `{"Name":"a b","type":"a"}`, `{"name":"a/b","plugins":[{"type":"a"}]}`, `{"name":"","plugins":[{"type":"a"}]}`,
		`{"plugins":[{"type":"a"}],"cniVersions":["0.4.0",7]}`, `{"plugins":[{"type":"a"}],"cniVersions":null}`, `{"plugins":[{"type":"a"}],"cniVersion":null}`,
		`{"plugins":[{"type":"a"}],"cniVersion":"x","cniVersions":["1.0.0"]}`, `{"plugins":[{"type":"a"}],"loadOnlyInlinedPlugins":"TRUE"}`,
		`{"plugins":[{"type":"a"}],"loadOnlyInlinedPlugins":"yes"}`, `{"plugins":[{"type":"a"}],"loadOnlyInlinedPlugins":null}`, `{"plugins":[{"type":"a"}],"disableCheck":"true"}`,
	} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := nad.Parse(text)
		if reads := multusReads(text) && libraryTakes(text); err == nil && !reads {
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
	if err != nil || !routesArrive(config.Routes) || !asksArePlaced(config) {
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

// routesArrive reports whether the calling plugin can read the routes that it is
// given, and the kernel takes them.
func routesArrive(routes []*types.Route) bool {
	return !slices.ContainsFunc(routes, func(r *types.Route) bool {
		if r == nil || r.Dst.IP == nil {
			return true
		}
		families := r.GW != nil && (r.GW.To4() == nil) != (r.Dst.IP.To4() == nil)
		return families || !r.Dst.IP.Equal(r.Dst.IP.Mask(r.Dst.Mask))
	})
}

// asksArePlaced is what host-local does with the addresses that it is asked for:
// each set of ranges gives one, and none may be left over or a gateway.
func asksArePlaced(config *allocator.IPAMConfig) bool {
	left := map[string]net.IP{}
	for _, ip := range config.IPArgs {
		left[ip.String()] = ip
	}
	for _, set := range config.Ranges {
		for key, ip := range left {
			r, err := set.RangeFor(ip)
			if err != nil {
				continue
			}
			if r.Gateway.Equal(ip) {
				return false
			}
			delete(left, key)
			break
		}
	}
	return len(left) == 0
}

// panics reports whether the function does, as host-local does on null.
func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

// FuzzHostLocalAgainstThePlugin compares what we read with what host-local
// reads: whether it accepts a configuration, and which addresses it gives.
func FuzzHostLocalAgainstThePlugin(f *testing.F) {
	for _, c := range slices.Concat(hostLocalCases, sectionCases) {
		f.Add(c.config)
	}
	f.Add(`{"cniVersion":"0.3.1","type":"ipvlan","runtimeConfig":{"ips":["10.10.1.66",""]},"args":{"cni":null},"ipam":{"type":"host-local","subnet":"10.10.1.64/29"}}`)
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
		var want []nad.Range
		accepted := false
		if panics(func() { want, accepted = hostLocalGives(text) }) {
			accepted = false
		}
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
