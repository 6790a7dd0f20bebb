package nad_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// planCase is a NAD and what it hands out. Findings are written as
// "rule field".
type planCase struct {
	name, config string
	ranges       []string
	findings     []string
}

// ipvlan is the configuration of one ipvlan plugin with an IPAM section.
func ipvlan(ipam string) string {
	return `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","mode":"l2","ipam":` + ipam + `}`
}

// with is a whereabouts section.
func with(fields string) string { return ipvlan(`{"type":"whereabouts",` + fields + `}`) }

var whereaboutsCases = []planCase{
	{"a CIDR without its first and last address", with(`"range":"10.10.1.64/26"`), []string{"10.10.1.65-10.10.1.126"}, nil},
	{"a CIDR with host bits is the whole network", with(`"range":"10.10.1.70/26"`), []string{"10.10.1.65-10.10.1.126"}, nil},
	{"a CIDR of IPv6", with(`"range":"2600:1f13:0:1::/120"`), []string{"2600:1f13:0:1::1-2600:1f13:0:1::fe"}, nil},
	{"first, last and length", with(`"range":"10.10.1.80-10.10.1.82/24"`), []string{"10.10.1.80-10.10.1.82"}, nil},
	{"first and last are one", with(`"range":"10.10.1.80-10.10.1.80/24"`), []string{"10.10.1.80"}, nil},
	{"first and last at the network's ends", with(`"range":"10.10.1.64-10.10.1.127/26"`), []string{"10.10.1.65-10.10.1.126"}, nil},
	{"first, last and length of IPv6", with(`"range":"2600:1f13:0:1::a-2600:1f13:0:1::f/64"`), []string{"2600:1f13:0:1::a-2600:1f13:0:1::f"}, nil},
	{"leading zeros", with(`"range":"010.010.001.064/26"`), []string{"10.10.1.65-10.10.1.126"}, nil},
	{"range_start and range_end", with(`"range":"10.10.1.0/24","range_start":"10.10.1.70","range_end":"10.10.1.80"`), []string{"10.10.1.70-10.10.1.80"}, nil},
	{"range_start only", with(`"range":"10.10.1.0/24","range_start":"10.10.1.250"`), []string{"10.10.1.250-10.10.1.254"}, nil},
	{"range_end only", with(`"range":"10.10.1.0/24","range_end":"10.10.1.3"`), []string{"10.10.1.1-10.10.1.3"}, nil},
	{"empty bounds are none", with(`"range":"10.10.1.0/30","range_start":"","range_end":""`), []string{"10.10.1.1-10.10.1.2"}, nil},
	{"bounds at the network's ends", with(`"range":"10.10.1.0/30","range_start":"10.10.1.0","range_end":"10.10.1.3"`), []string{"10.10.1.1-10.10.1.2"}, nil},
	{"a range_start outside is ignored", with(`"range":"10.10.1.64/26","range_start":"10.10.2.70"`), []string{"10.10.1.65-10.10.1.126"}, []string{"setting-ignored spec.config.ipam.range_start"}},
	{"a range_end before range_start is ignored", with(`"range":"10.10.1.64/26","range_start":"10.10.1.80","range_end":"10.10.1.70"`), []string{"10.10.1.80-10.10.1.126"}, []string{"setting-ignored spec.config.ipam.range_end"}},
	{"a range_start that is not an address is ignored", with(`"range":"10.10.1.64/26","range_start":"10.10.1.300"`), []string{"10.10.1.65-10.10.1.126"}, []string{"setting-ignored spec.config.ipam.range_start"}},
	{"exclude cuts ranges in two", with(`"range":"10.10.1.64/28","exclude":["10.10.1.68/30","10.10.1.77/32"]`), []string{"10.10.1.65-10.10.1.67", "10.10.1.72-10.10.1.76", "10.10.1.78"}, nil},
	{"exclude takes single addresses", with(`"range":"10.10.1.64/29","exclude":["10.10.1.66"]`), []string{"10.10.1.65", "10.10.1.67-10.10.1.70"}, nil},
	{"exclude with host bits means the network", with(`"range":"10.10.1.224/28","exclude":["10.10.1.229/30","10.10.1.236/32"]`), []string{"10.10.1.225-10.10.1.227", "10.10.1.232-10.10.1.235", "10.10.1.237-10.10.1.238"}, nil},
	{"exclude of IPv6", with(`"range":"2600:1f13:0:1::/124","exclude":["2600:1f13:0:1::/125"]`), []string{"2600:1f13:0:1::8-2600:1f13:0:1::e"}, nil},
	{"exclude of everything", with(`"range":"10.10.1.64/28","exclude":["10.10.1.0/24"]`), nil, []string{"range-empty spec.config.ipam.range"}},
	{"exclude that is none", with(`"range":"10.10.1.64/28","exclude":["10.10.1.300"]`), []string{"10.10.1.65-10.10.1.78"}, []string{"ipam-malformed spec.config.ipam.exclude[0]"}},
	{"ipRanges of both families", with(`"ipRanges":[{"range":"10.10.1.64/29"},{"range":"2600:1f13:0:1::/125","range_start":"2600:1f13:0:1::4"}]`), []string{"10.10.1.65-10.10.1.70", "2600:1f13:0:1::4-2600:1f13:0:1::6"}, nil},
	{"range and ipRanges", with(`"range":"10.10.1.64/29","ipRanges":[{"range":"10.10.1.80/29","exclude":["10.10.1.82/32"]}]`), []string{"10.10.1.65-10.10.1.70", "10.10.1.81", "10.10.1.83-10.10.1.86"}, nil},
	{"bounds at the top mean nothing to ipRanges", with(`"range_start":"10.10.1.67","exclude":["10.10.1.66"],"ipRanges":[{"range":"10.10.1.64/29"}]`), []string{"10.10.1.65-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.range_start", "setting-ignored spec.config.ipam.exclude"}},
	{"a bound in ipRanges that is not an address", with(`"ipRanges":[{"range":"10.10.1.64/29","range_start":"x"}]`), nil, []string{"ipam-malformed spec.config.ipam.ipRanges[0].range_start"}},
	{"node slices ignore bounds and exclusions", with(`"range":"10.10.1.64/28","node_slice_size":"/30","network_name":"net-a","range_start":"10.10.1.70","exclude":["10.10.1.66/32"]`), []string{"10.10.1.65-10.10.1.78"}, []string{"setting-ignored spec.config.ipam.range_start", "setting-ignored spec.config.ipam.exclude[0]"}},
	{"addresses besides the range", with(`"range":"10.10.1.64/29","addresses":[{"address":"10.10.1.90/24"}]`), []string{"10.10.1.65-10.10.1.70", "10.10.1.90"}, nil},
	{"the settings of the long form", with(`"datastore":"kubernetes","kubernetes":{"kubeconfig":"/etc/cni/net.d/whereabouts.d/whereabouts.kubeconfig"},"range":"10.10.1.80-10.10.1.82/24","routes":[{"dst":"10.10.10.48/32"}],"log_file":"/tmp/wb.log","log_level":"debug","gateway":"10.10.1.1"`), []string{"10.10.1.80-10.10.1.82"}, nil},
	{"a range on the worker's disk", with(`"configuration_path":"/etc/cni/net.d/whereabouts.d/whereabouts.conf"`), nil, []string{"config-on-disk spec.config.ipam.configuration_path"}},
	{"no range", with(`"log_level":"debug"`), nil, []string{"ipam-malformed spec.config.ipam.range"}},
	{"a range of one address", with(`"range":"10.10.1.70/32"`), nil, []string{"range-empty spec.config.ipam.range"}},
	{"a range of two addresses", with(`"range":"10.10.1.70/31"`), nil, []string{"range-empty spec.config.ipam.range"}},
	{"a length that does not exist", with(`"range":"10.10.1.64/33"`), nil, []string{"ipam-malformed spec.config.ipam.range"}},
	{"a range without a length", with(`"range":"10.10.1.64"`), nil, []string{"ipam-malformed spec.config.ipam.range"}},
	{"first and last without a length", with(`"range":"10.10.1.64-10.10.1.70"`), nil, []string{"ipam-malformed spec.config.ipam.range"}},
	{"spaces around the dash", with(`"range":"10.10.1.64 - 10.10.1.70/24"`), nil, []string{"ipam-malformed spec.config.ipam.range"}},
	{"a first address outside of the network", with(`"range":"10.10.2.64-10.10.1.70/24"`), nil, []string{"ipam-malformed spec.config.ipam.range"}},
	{"a last address before the first is ignored", with(`"range":"10.10.1.80-10.10.1.70/24"`), []string{"10.10.1.80-10.10.1.254"}, []string{"setting-ignored spec.config.ipam.range"}},
	{"a range that is a number", with(`"range":10`), nil, []string{"ipam-malformed spec.config.ipam.range"}},
	{"a gateway that is none", with(`"range":"10.10.1.64/30","gateway":"router"`), []string{"10.10.1.65-10.10.1.66"}, []string{"ipam-malformed spec.config.ipam.gateway"}},
	{"keys in another case, as Go's decoder takes them", with(`"Range":"10.10.1.64/30"`), []string{"10.10.1.65-10.10.1.66"}, nil},
}

// local is a host-local section.
func local(fields string) string { return ipvlan(`{"type":"host-local",` + fields + `}`) }

var hostLocalCases = []planCase{
	{"the old form gives the subnet without the default gateway", local(`"subnet":"10.10.1.64/29"`), []string{"10.10.1.66-10.10.1.70"}, nil},
	{"the old form with bounds and gateway", local(`"subnet":"10.10.1.0/24","rangeStart":"10.10.1.70","rangeEnd":"10.10.1.75","gateway":"10.10.1.72"`), []string{"10.10.1.70-10.10.1.71", "10.10.1.73-10.10.1.75"}, nil},
	{"sets of both families", local(`"ranges":[[{"subnet":"10.10.1.0/24","rangeStart":"10.10.1.70","rangeEnd":"10.10.1.71"}],[{"subnet":"2600:1f13:0:1::/64","rangeStart":"2600:1f13:0:1::10","rangeEnd":"2600:1f13:0:1::20"}]]`), []string{"10.10.1.70-10.10.1.71", "2600:1f13:0:1::10-2600:1f13:0:1::20"}, nil},
	{"two ranges in one set", local(`"ranges":[[{"subnet":"10.10.1.64/29"},{"subnet":"10.10.1.80/29"}]]`), []string{"10.10.1.66-10.10.1.70", "10.10.1.82-10.10.1.86"}, nil},
	{"old and new form together", local(`"subnet":"10.10.1.64/29","ranges":[[{"subnet":"10.10.1.80/29"}]]`), []string{"10.10.1.66-10.10.1.70", "10.10.1.82-10.10.1.86"}, nil},
	{"a subnet of IPv6 has no broadcast address", local(`"subnet":"2600:1f13:0:1::/125"`), []string{"2600:1f13:0:1::2-2600:1f13:0:1::7"}, nil},
	{"the network's own first address", local(`"subnet":"10.10.1.64/29","rangeStart":"10.10.1.64","rangeEnd":"10.10.1.64"`), []string{"10.10.1.64"}, nil},
	{"only the gateway is left", local(`"subnet":"10.10.1.64/29","rangeStart":"10.10.1.65","rangeEnd":"10.10.1.65"`), nil, []string{"range-empty spec.config.ipam.subnet"}},
	{"host bits in the subnet", local(`"subnet":"10.10.1.70/26"`), nil, []string{"ipam-malformed spec.config.ipam"}},
	{"a subnet that is too small", local(`"subnet":"10.10.1.70/31"`), nil, []string{"ipam-malformed spec.config.ipam"}},
	{"a start outside of the subnet", local(`"subnet":"10.10.1.64/26","rangeStart":"10.10.1.1"`), nil, []string{"ipam-malformed spec.config.ipam"}},
	{"an end outside of the subnet", local(`"subnet":"10.10.1.64/26","rangeEnd":"10.10.1.200"`), nil, []string{"ipam-malformed spec.config.ipam"}},
	{"an end before the start", local(`"subnet":"10.10.1.64/26","rangeStart":"10.10.1.80","rangeEnd":"10.10.1.70"`), nil, []string{"ipam-malformed spec.config.ipam"}},
	{"bounds that are none", local(`"subnet":"10.10.1.64/26","rangeStart":"seventy"`), nil, []string{"ipam-malformed spec.config.ipam"}},
	{"leading zeros", local(`"subnet":"10.10.01.64/26"`), nil, []string{"ipam-malformed spec.config.ipam"}},
	{"both families in one set", local(`"ranges":[[{"subnet":"10.10.1.64/29"},{"subnet":"2600:1f13:0:1::/125"}]]`), []string{"10.10.1.66-10.10.1.70", "2600:1f13:0:1::2-2600:1f13:0:1::7"}, []string{"ipam-malformed spec.config.ipam.ranges[0][1]"}},
	{"sets that overlap", local(`"ranges":[[{"subnet":"10.10.1.64/28"}],[{"subnet":"10.10.1.64/29"}]]`), []string{"10.10.1.66-10.10.1.78"}, []string{"ipam-malformed spec.config.ipam.ranges[1][0]"}},
	{"an empty set", local(`"ranges":[[]]`), nil, []string{"ipam-malformed spec.config.ipam.ranges[0]"}},
	{"a range without a subnet", local(`"ranges":[[{"rangeStart":"10.10.1.70"}]]`), nil, []string{"ipam-malformed spec.config.ipam.ranges[0][0]"}},
	{"no range", local(`"dataDir":"/run/ipam"`), nil, []string{"ipam-malformed spec.config.ipam.ranges"}},
	{"ranges that are a list of one level", local(`"ranges":[{"subnet":"10.10.1.0/24"}]`), nil, []string{"ipam-malformed spec.config.ipam.ranges[0]"}},
}

var otherCases = []planCase{
	{"static addresses", ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.90/24","gateway":"10.10.1.1"},{"address":"2600:1f13:0:1::90/64"}]}`), []string{"10.10.1.90", "2600:1f13:0:1::90"}, nil},
	{"a static address without a length", ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.90"}]}`), nil, []string{"ipam-malformed spec.config.ipam.addresses[0]"}},
	{"a static gateway that is none", ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.90/24","gateway":"x"}]}`), []string{"10.10.1.90"}, []string{"ipam-malformed spec.config.ipam.addresses[0].gateway"}},
	{"static addresses in args", `{"type":"ipvlan","master":"eth1","args":{"cni":{"ips":["10.10.1.91/24"]}},"ipam":{"type":"static","addresses":[{"address":"10.10.1.90/24"}]}}`, []string{"10.10.1.91"}, nil},
	{"static addresses in runtimeConfig", `{"type":"ipvlan","master":"eth1","runtimeConfig":{"ips":["10.10.1.92/24"]},"ipam":{"type":"static"}}`, []string{"10.10.1.92"}, nil},
	{"static addresses that pods ask for", `{"type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}}`, nil, nil},
	{"static without any address", ipvlan(`{"type":"static"}`), nil, []string{"range-empty spec.config.ipam.addresses"}},
	{"two addresses where the version has room for one", `{"cniVersion":"0.2.0","type":"ipvlan","master":"eth1","ipam":{"type":"static","addresses":[{"address":"10.10.1.90/24"},{"address":"10.10.1.92/24"}]}}`, []string{"10.10.1.90", "10.10.1.92"}, []string{"ipam-malformed spec.config.ipam.addresses"}},
	{"two addresses without a version", `{"type":"ipvlan","master":"eth1","ipam":{"type":"static","addresses":[{"address":"10.10.1.90/24"},{"address":"10.10.1.92/24"}]}}`, []string{"10.10.1.90", "10.10.1.92"}, []string{"ipam-malformed spec.config.ipam.addresses"}},
	{"one address of each family without a version", `{"type":"ipvlan","master":"eth1","ipam":{"type":"static","addresses":[{"address":"10.10.1.90/24"},{"address":"2600:1f13:0:1::90/64"}]}}`, []string{"10.10.1.90", "2600:1f13:0:1::90"}, nil},
	{"a list of plugins", `{"cniVersion":"0.3.1","name":"net-a","plugins":[{"type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.10.1.64/29"}},{"type":"sbr"},{"type":"tuning","sysctl":{"net.core.somaxconn":"500"}}]}`, []string{"10.10.1.65-10.10.1.70"}, nil},
	{"a list without a name", `{"plugins":[{"type":"ipvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.10.1.64/29"}}]}`, []string{"10.10.1.65-10.10.1.70"}, nil},
	{"the IPAM in the second plugin of a list", `{"plugins":[{"type":"host-device","device":"eth2"},{"type":"later","ipam":{"type":"whereabouts","range":"10.10.1.64/29"}}]}`, []string{"10.10.1.65-10.10.1.70"}, nil},
	{"a mistake in the second plugin of a list", `{"plugins":[{"type":"ipvlan","master":"eth1"},{"type":"later","ipam":{"type":"whereabouts","range":"x"}}]}`, nil, []string{"ipam-malformed spec.config.plugins[1].ipam.range"}},
	{"lists that hold what a type holds are one plugin", `{"type":"ipvlan","master":"eth1","plugins":[{"type":"bridge"}],"ipam":{"type":"whereabouts","range":"10.10.1.64/29"}}`, []string{"10.10.1.65-10.10.1.70"}, nil},
	{"no IPAM", `{"type":"ipvlan","master":"eth1"}`, nil, nil},
	{"an empty IPAM", `{"type":"macvlan","master":"eth1","ipam":{}}`, nil, nil},
	{"an IPAM without a type", ipvlan(`{"range":"10.10.1.64/29"}`), nil, []string{"ipam-malformed spec.config.ipam.type"}},
	{"an IPAM type that is no string", ipvlan(`{"type":7}`), nil, []string{"config-malformed spec.config"}},
	{"DHCP", ipvlan(`{"type":"dhcp"}`), nil, []string{"ipam-unknown spec.config.ipam.type"}},
	{"an IPAM of another project", ipvlan(`{"type":"spiderpool"}`), nil, []string{"ipam-unknown spec.config.ipam.type"}},
	{"an IPAM of another project in a list", `{"plugins":[{"type":"sriov","ipam":{"type":"nv-ipam","poolName":"pool1"}}]}`, nil, []string{"ipam-unknown spec.config.plugins[0].ipam.type"}},
	{"sriov", `{"type":"sriov","vlan":0,"ipam":{"type":"whereabouts","range":"10.10.1.64/29"}}`, []string{"10.10.1.65-10.10.1.70"}, nil},
	{"a bridge is not the VPC's business", `{"type":"bridge","ipam":{"type":"whereabouts","range":"x"}}`, nil, nil},
	{"no configuration", "", nil, []string{"config-on-disk spec.config"}},
	{"no JSON", "type: ipvlan", nil, []string{"config-malformed spec.config"}},
	{"JSON without an end", `{"type":"ipvlan"`, nil, []string{"config-malformed spec.config"}},
	{"no type", `{"name":"a","ipam":{"type":"whereabouts","range":"10.10.1.64/29"}}`, nil, []string{"config-malformed spec.config"}},
	{"no plugins", `{"name":"a","plugins":[]}`, nil, []string{"config-malformed spec.config"}},
	{"an IPAM that is a string", `{"type":"ipvlan","master":"eth1","ipam":"whereabouts"}`, nil, []string{"config-malformed spec.config"}},
	{"DNS settings that are none", `{"type":"ipvlan","master":"eth1","dns":"10.10.1.2"}`, nil, []string{"config-malformed spec.config"}},
	{"capabilities that are a list", `{"type":"ipvlan","master":"eth1","capabilities":["ips"]}`, nil, []string{"config-malformed spec.config"}},
}

func TestPlansHandOutWhatTheIPAMPluginsDo(t *testing.T) {
	for kind, cases := range map[string][]planCase{"whereabouts": whereaboutsCases, "host-local": hostLocalCases, "other": otherCases} {
		for _, c := range cases {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				network := nad.Read(nad.Definition{Namespace: "ns", Name: "net", Config: c.config})
				if diff := cmp.Diff(c.ranges, texts(network.Ranges())); diff != "" {
					t.Errorf("ranges (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.findings, places(network.Findings)); diff != "" {
					t.Errorf("findings (-want +got):\n%s\n%v", diff, network.Findings)
				}
			})
		}
	}
}

func TestLabelledNADsAreReadOrLeftAlone(t *testing.T) {
	for _, c := range []struct {
		name, label, config string
		ranges, findings    []string
	}{
		{"false leaves a broken NAD alone", "false", "{", nil, nil},
		{"true reads a bridge", "true", `{"type":"bridge","ipam":{"type":"whereabouts","range":"10.10.1.64/30"}}`, []string{"10.10.1.65-10.10.1.66"}, nil},
		{"another value is told", "no", `{"type":"ipvlan","master":"eth1"}`, nil, []string{"label-unknown metadata.labels[multus-ipmgr.io/managed]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			network := nad.Read(nad.Definition{Config: c.config, Labels: map[string]string{nad.ManagedLabel: c.label}})
			if diff := cmp.Diff(c.ranges, texts(network.Ranges())); diff != "" {
				t.Errorf("ranges (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.findings, places(network.Findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func texts(ranges []nad.Range) []string {
	var all []string
	for _, r := range ranges {
		all = append(all, r.String())
	}
	return all
}

// places are findings as "rule field".
func places(findings []nad.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, string(f.Rule)+" "+f.Field)
	}
	return all
}
