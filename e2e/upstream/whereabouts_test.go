package upstream_test

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8snetworkplumbingwg/whereabouts/pkg/allocate"
	"github.com/k8snetworkplumbingwg/whereabouts/pkg/config"
	"github.com/k8snetworkplumbingwg/whereabouts/pkg/iphelpers"
	"github.com/k8snetworkplumbingwg/whereabouts/pkg/types"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// whereaboutsReads is what whereabouts makes of a configuration, with the file
// that is on every worker.
func whereaboutsReads(t *testing.T, text string) (c *types.IPAMConfig, ok bool) {
	t.Helper()
	defer func() {
		if recover() != nil {
			c, ok = nil, false
		}
	}()
	file := filepath.Join(t.TempDir(), "whereabouts.conf")
	if err := os.WriteFile(file, []byte(`{"kubernetes":{"kubeconfig":"/etc/kubeconfig"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.LoadIPAMConfig([]byte(text), "", file)
	return c, err == nil
}

// firstAddress is what whereabouts gives the first pod out of a range.
func firstAddress(r types.RangeConfiguration) (netip.Addr, bool) {
	ip, _, err := allocate.AssignIP(r, nil, "container", "ns/pod", "net1")
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip.IP)
	return addr.Unmap(), ok
}

// lastAddress is where whereabouts stops, if nothing is excluded.
func lastAddress(r types.RangeConfiguration) (netip.Addr, bool) {
	_, network, err := net.ParseCIDR(r.Range)
	if err != nil || len(r.OmitRanges) > 0 {
		return netip.Addr{}, false
	}
	_, last, err := iphelpers.GetIPRange(*network, r.RangeStart, r.RangeEnd)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(last)
	return addr.Unmap(), ok
}

// section is a configuration of ipvlan with a section of whereabouts.
func section(fields string) string {
	return `{"cniVersion":"0.3.1","name":"net-a","type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts",` + fields + `}}`
}

func FuzzWhereaboutsAgainstThePlugin(f *testing.F) {
	for _, fields := range []string{
		`"range":"10.10.1.64/26"`, `"range":"10.10.1.70/26"`, `"range":"10.10.1.80-10.10.1.82/24"`, `"range":"10.10.1.82-10.10.1.80/24"`, `"range":"010.010.001.064/26"`,
		`"range":"10.10.2.64-10.10.1.70/24"`, `"range":"10.10.1.64"`, `"range":10`, `"range":"10.10.1.70/32"`, `"range":"2600:1f13:0:1::/120"`, `"range":"::ffff:10.10.1.0/120"`,
		`"range":"10.10.1.0/24","range_start":"10.10.1.70","range_end":"10.10.1.80"`, `"range":"10.10.1.0/24","range_start":"x"`, `"range":"10.10.1.0/24","range_start":7`,
		`"range":"10.10.1.64/28","exclude":["10.10.1.64/30","10.10.1.77"]`, `"range":"10.10.1.64/28","exclude":"10.10.1.64/30"`, `"range":"10.10.1.64/28","exclude":["x"]`,
		`"ipRanges":[{"range":"10.10.1.64/29"},{"range":"2600:1f13:0:1::/125","range_start":"2600:1f13:0:1::4"}]`, `"ipRanges":[{"range":"10.10.1.64/29","range_start":"x"}]`,
		`"ipRanges":[{"range":"10.10.1.64/29","range_start":""}]`, `"ipRanges":{}`, `"Range":"10.10.1.64/29"`, `"range":"10.10.1.64/29","gateway":"10.10.1.1/24"`,
		`"range":"10.10.1.64/29","routes":{"dst":"10.20.0.0/16"}`, `"range":"10.10.1.64/29","routes":[{"dst":"10.20.0.0"}]`, `"range":"10.10.1.64/29","routes":[{"dst":"10.20.0.0/16","gw":"10.10.1.1/24"}]`,
		`"range":"10.10.1.64/29","routes":[{"dst":"10.20.0.0/16","gw":"10.10.1.1","mtu":9001}]`, `"range":"10.10.1.64/29","dns":["10.10.0.2"]`, `"range":"10.10.1.64/29","dns":{"nameservers":["10.10.0.2"]}`,
		`"range":"10.10.1.64/29","addresses":[{"address":"10.10.1.90/24"}]`, `"range":"10.10.1.64/29","addresses":[{"Address":"10.10.1.90/24"}]`, `"range":"10.10.1.64/29","addresses":[{"address":"x"}]`,
		`"range":"10.10.1.64/29","leader_lease_duration":"1"`, `"range":"10.10.1.64/29","enable_overlapping_ranges":"no"`, `"range":"10.10.1.64/29","kubernetes":"x"`, `"range":"10.10.1.64/29","Gateway":"x"`,
		`"range":"10.10.1.64/29","podName":1`, `"range":"10.10.1.64/29","sleep_for_race":true`, `"range":"10.10.1.64/29","log_level":null`,
	} {
		f.Add(section(fields))
	}
	f.Fuzz(func(t *testing.T, text string) {
		network := nad.Read(nad.Definition{Namespace: "ns", Name: "net-a", Config: text})
		if len(network.Plugins) != 1 || network.Plugins[0].IPAM.Type != "whereabouts" || !json.Valid([]byte(text)) {
			return
		}
		theirs, reads := whereaboutsReads(t, text)
		if !reads {
			if !refused(network) {
				t.Fatalf("%q is accepted, and whereabouts refuses it", text)
			}
			return
		}
		if refused(network) {
			if !beyondWhereabouts(network, theirs) {
				t.Fatalf("%q is refused, and whereabouts reads it: %v", text, network.Findings)
			}
			return
		}
		compareRanges(t, text, network, theirs)
	})
}

// refused reports whether anything is found that keeps all pods from starting.
func refused(n nad.Network) bool {
	return slices.ContainsFunc(n.Findings, func(f nad.Finding) bool { return f.Severity == nad.Error })
}

// beyondWhereabouts reports whether what we refuse is refused after the
// configuration has been read: by the allocation, the calling plugin, the kernel
// or the API server.
func beyondWhereabouts(n nad.Network, theirs *types.IPAMConfig) bool {
	if len(theirs.IPRanges)+len(theirs.Addresses) == 0 || theirs.NodeSliceSize != "" {
		return true
	}
	for _, r := range theirs.IPRanges {
		if _, ok := firstAddress(r); !ok {
			return true
		}
	}
	later := func(f nad.Finding) bool {
		for _, suffix := range []string{".network_name", ".range", ".dst", ".gw", "cniVersion", ".mode", ".mtu", ".master"} {
			if len(f.Field) > len(suffix) && f.Field[len(f.Field)-len(suffix):] == suffix {
				return true
			}
		}
		return f.Rule == nad.TooLarge || f.Rule == nad.PluginMalformed || f.Rule == nad.RangeEmpty || len(theirs.Routes) > 0
	}
	return slices.ContainsFunc(n.Findings, func(f nad.Finding) bool { return f.Severity == nad.Error && later(f) })
}

// compareRanges compares the first and the last address of each range.
func compareRanges(t *testing.T, text string, network nad.Network, theirs *types.IPAMConfig) {
	t.Helper()
	if theirs.NodeSliceSize != "" {
		return // a worker's slice is the cluster's to say
	}
	var want []string
	for _, r := range theirs.IPRanges {
		first, ok := firstAddress(r)
		if !ok {
			t.Fatalf("%q is accepted, and whereabouts has no address in %s", text, r.Range)
		}
		end := "?"
		if last, ok := lastAddress(r); ok {
			end = last.String()
		}
		want = append(want, first.String()+"-"+end)
	}
	var got []string
	for i, p := range network.Plugins[0].IPAM.Pools[:min(len(want), len(network.Plugins[0].IPAM.Pools))] {
		end := p.Ranges[len(p.Ranges)-1].Last.String()
		if want[i][len(want[i])-1] == '?' {
			end = "?"
		}
		got = append(got, p.Ranges[0].First.String()+"-"+end)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q (-whereabouts +ours):\n%s", text, diff)
	}
}
