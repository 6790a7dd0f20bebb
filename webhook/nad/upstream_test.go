package nad_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// routed is a whereabouts section with routes.
func routed(routes string) string {
	return with(`"range":"10.10.1.80-10.10.1.82/24","routes":` + routes)
}

// versioned is a configuration that asks for a version of CNI.
func versioned(version string) string {
	return `{"cniVersion":` + version + `,"type":"ipvlan","master":"eth1"}`
}

// sliced is a whereabouts section of slices.
func sliced(network, size, more string) string {
	return with(`"range":"` + network + `","node_slice_size":"` + size + `"` + more)
}

var some = []string{"10.10.1.80-10.10.1.82"}

var sectionCases = []planCase{
	{"routes", routed(`[{"dst":"10.20.0.0/16","gw":"10.10.1.1","mtu":1400},{"dst":"0.0.0.0/0"}]`), some, nil},
	{"routes that are null", routed(`null`), some, nil},
	{"routes that are an object", routed(`{"dst":"10.20.0.0/16"}`), nil, []string{"ipam-malformed spec.config.ipam.routes"}},
	{"routes that are text", routed(`["10.20.0.0/16"]`), nil, []string{"ipam-malformed spec.config.ipam.routes[0]"}},
	{"a route's destination without a length", routed(`[{"dst":"10.20.0.0/16"},{"dst":"10.21.0.0"}]`), nil, []string{"ipam-malformed spec.config.ipam.routes[1].dst"}},
	{"a route's destination that is a number", routed(`[{"dst":10}]`), nil, []string{"ipam-malformed spec.config.ipam.routes[0].dst"}},
	{"a route's gateway with a length", routed(`[{"dst":"10.20.0.0/16","gw":"10.10.1.1/24"}]`), nil, []string{"ipam-malformed spec.config.ipam.routes[0].gw"}},
	{"a route's MTU that is text", routed(`[{"dst":"10.20.0.0/16","mtu":"1400"}]`), nil, []string{"ipam-malformed spec.config.ipam.routes[0].mtu"}},
	{"a route without a destination", routed(`[{"gw":"10.10.1.1"}]`), some, []string{"ipam-malformed spec.config.ipam.routes[0]"}},
	{"a route that is null", routed(`[null]`), some, []string{"ipam-malformed spec.config.ipam.routes[0]"}},
	{"a route's destination with host bits", routed(`[{"dst":"10.20.0.5/16"}]`), some, []string{"ipam-malformed spec.config.ipam.routes[0].dst"}},
	{"a route by the other family", routed(`[{"dst":"10.20.0.0/16","gw":"fe80::1"}]`), some, []string{"ipam-malformed spec.config.ipam.routes[0].gw"}},
	{"routes of host-local", local(`"subnet":"10.10.1.64/29","routes":[{"dst":"default"}]`), nil, []string{"ipam-malformed spec.config.ipam.routes[0].dst"}},
	{"routes of static", ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.90/24"}],"routes":[{"dst":"10.20.0.0/16","gw":"x"}]}`), nil, []string{"ipam-malformed spec.config.ipam.routes[0].gw"}},
	{"a misspelt key of a route", routed(`[{"dest":"10.20.0.0/16","dst":"10.20.0.0/16"}]`), some, []string{"setting-ignored spec.config.ipam.routes[0].dest"}},
	{"DNS", with(`"range":"10.10.1.80-10.10.1.82/24","dns":{"nameservers":["10.10.0.2"],"domain":"a.b","search":["a"],"options":["ndots:2"]}`), some, nil},
	{"DNS that is a list", with(`"range":"10.10.1.64/29","dns":["10.10.0.2"]`), nil, []string{"ipam-malformed spec.config.ipam.dns"}},
	{"name servers that are text", with(`"range":"10.10.1.64/29","dns":{"nameservers":"10.10.0.2"}`), nil, []string{"ipam-malformed spec.config.ipam.dns.nameservers"}},
	{"DNS of static", ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.90/24"}],"dns":"10.10.0.2"}`), nil, []string{"ipam-malformed spec.config.ipam.dns"}},
	{"host-local has no DNS", local(`"subnet":"10.10.1.64/29","dns":["10.10.0.2"]`), []string{"10.10.1.66-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.dns"}},
	{"exclude that is text", with(`"range":"10.10.1.64/26","exclude":"10.10.1.70/32"`), nil, []string{"ipam-malformed spec.config.ipam.exclude"}},
	{"exclude that is text in ipRanges", with(`"ipRanges":[{"range":"10.10.1.64/26","exclude":"10.10.1.70/32"}]`), nil, []string{"ipam-malformed spec.config.ipam.ipRanges[0].exclude"}},
	{"a lease that is text", with(`"range":"10.10.1.64/29","leader_lease_duration":"1500"`), nil, []string{"ipam-malformed spec.config.ipam.leader_lease_duration"}},
	{"overlapping ranges that are text", with(`"range":"10.10.1.64/29","enable_overlapping_ranges":"false"`), nil, []string{"ipam-malformed spec.config.ipam.enable_overlapping_ranges"}},
	{"the path of a kubeconfig that is text instead of an object", with(`"range":"10.10.1.64/29","kubernetes":"/etc/k"`), nil, []string{"ipam-malformed spec.config.ipam.kubernetes"}},
	{"a data directory that is a number", local(`"subnet":"10.10.1.64/29","dataDir":7`), nil, []string{"ipam-malformed spec.config.ipam.dataDir"}},
	{"static's address with a capital is another field", ipvlan(`{"type":"static","addresses":[{"Address":"10.10.1.90/24"}]}`), nil, []string{"ipam-malformed spec.config.ipam.addresses[0].Address"}},

	{"keys in capitals", ipvlan(`{"Type":"whereabouts","Range":"10.10.1.64/29"}`), []string{"10.10.1.65-10.10.1.70"}, nil},
	{"keys in capitals, all of them", `{"CNIVersion":"0.3.1","TYPE":"ipvlan","Master":"eth1","IPAM":{"TYPE":"host-local","SUBNET":"10.10.1.64/29"}}`, []string{"10.10.1.66-10.10.1.70"}, nil},
	{"keys in capitals of static", `{"Type":"ipvlan","MASTER":"eth1","Ipam":{"Type":"static","ADDRESSES":[{"ADDRESS":"10.10.1.90/24"}]}}`, []string{"10.10.1.90"}, nil},

	{"host-local's ranges in runtimeConfig", `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","runtimeConfig":{"ipRanges":[[{"subnet":"10.10.1.0/24","rangeStart":"10.10.1.70","rangeEnd":"10.10.1.79"}]]},"ipam":{"type":"host-local"}}`, []string{"10.10.1.70-10.10.1.79"}, nil},
	{"host-local's ranges in both places", `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","runtimeConfig":{"ipRanges":[[{"subnet":"10.10.1.64/29"}]]},"ipam":{"type":"host-local","subnet":"10.10.1.80/29"}}`, []string{"10.10.1.66-10.10.1.70", "10.10.1.82-10.10.1.86"}, nil},
	{"host-local's ranges in runtimeConfig that overlap", `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","runtimeConfig":{"ipRanges":[[{"subnet":"10.10.1.64/29"}]]},"ipam":{"type":"host-local","subnet":"10.10.1.64/28"}}`, []string{"10.10.1.66-10.10.1.78"}, []string{"ipam-malformed spec.config.ipam"}},
	{"an address that host-local is asked for by the network", `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","args":{"cni":{"ips":["10.10.1.90"]}},"ipam":{"type":"host-local","subnet":"10.10.1.64/29"}}`, []string{"10.10.1.66-10.10.1.70"}, []string{"ipam-malformed spec.config.args.cni.ips[0]"}},

	{"bounds of host-local for whereabouts", with(`"range":"10.10.1.64/29","rangeStart":"10.10.1.66","rangeEnd":"10.10.1.67"`), []string{"10.10.1.65-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.rangeEnd", "setting-ignored spec.config.ipam.rangeStart"}},
	{"bounds of host-local for whereabouts in ipRanges", with(`"ipRanges":[{"range":"10.10.1.64/29","rangeStart":"10.10.1.66"}]`), []string{"10.10.1.65-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.ipRanges[0].rangeStart"}},
	{"bounds of whereabouts for host-local", local(`"subnet":"10.10.1.64/29","range_start":"10.10.1.67"`), []string{"10.10.1.66-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.range_start"}},
	{"bounds of whereabouts for host-local in sets", local(`"ranges":[[{"subnet":"10.10.1.64/29","range_start":"10.10.1.67"}]]`), []string{"10.10.1.66-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.ranges[0][0].range_start"}},
	{"exclude for host-local", local(`"subnet":"10.10.1.64/29","exclude":["10.10.1.67/32"]`), []string{"10.10.1.66-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.exclude"}},
	{"excludes", with(`"range":"10.10.1.64/29","excludes":["10.10.1.67/32"]`), []string{"10.10.1.65-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.excludes"}},
	{"a subnet for whereabouts", with(`"range":"10.10.1.64/29","subnet":"10.10.1.0/24"`), []string{"10.10.1.65-10.10.1.70"}, []string{"setting-ignored spec.config.ipam.subnet"}},
	{"static with a range", ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.90/24"}],"range":"10.10.1.64/29"}`), []string{"10.10.1.90"}, []string{"setting-ignored spec.config.ipam.range"}},
	{"a note to the reader", with(`"range":"10.10.1.64/29","comment":"ours","x-owner":"core"`), []string{"10.10.1.65-10.10.1.70"}, nil},
	{"keys of other plugins are nobody's mistake", `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","sysctl":{"a":"b"},"promiscMode":true,"vlan":7,"mac":"02:00:00:00:00:01","ips":["10.10.1.1"],"description":"x"}`, nil, nil},
	{"a misspelt ipam", `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","impa":{"type":"whereabouts"}}`, nil, []string{"setting-ignored spec.config.impa"}},
	{"a misspelt master", `{"cniVersion":"0.3.1","type":"ipvlan","mastr":"eth1"}`, nil, []string{"setting-ignored spec.config.mastr", "master-missing spec.config.master"}},
	{"a misspelt key of a list", `{"cniVersion":"0.3.1","disableChek":true,"plugins":[{"type":"ipvlan","master":"eth1"},{"type":"tuning","mtuu":1}]}`, nil, []string{"setting-ignored spec.config.disableChek"}},
	{"a misspelt IPAM type", ipvlan(`{"type":"wherabouts","range":"10.10.1.64/29"}`), nil, []string{"ipam-unknown spec.config.ipam.type"}},
	{"a misspelt plugin", `{"type":"ipvaln","master":"eth1"}`, nil, []string{"plugin-unknown spec.config.type"}},
	{"a misspelt plugin in a list", `{"plugins":[{"type":"ipvlan","master":"eth1"},{"type":"tunning"}]}`, nil, []string{"plugin-unknown spec.config.plugins[1].type"}},
	{"a plugin of the user's own", `{"plugins":[{"type":"ipvlan","master":"eth1"},{"type":"acme-qos"}]}`, nil, nil},

	{"every version that plugins know", versioned(`"1.1.0"`), nil, nil},
	{"the first version, which is none", versioned(`""`), nil, nil},
	{"a version without its last number", versioned(`"0.3"`), nil, []string{"plugin-malformed spec.config.cniVersion"}},
	{"a version with a letter", versioned(`"v0.3.1"`), nil, []string{"plugin-malformed spec.config.cniVersion"}},
	{"a version that is too new", versioned(`"1.2.0"`), nil, []string{"plugin-malformed spec.config.cniVersion"}},
	{"a version that is a number", versioned(`1.0`), nil, []string{"config-malformed spec.config"}},
	{"a list of versions with a known one", `{"cniVersion":"1.2.0","cniVersions":["0.4.0","1.0.0"],"plugins":[{"type":"ipvlan","master":"eth1"}]}`, nil, nil},
	{"a list of versions that is text", `{"cniVersions":"0.4.0","plugins":[{"type":"ipvlan","master":"eth1"}]}`, nil, []string{"config-malformed spec.config"}},
	{"a name with a space", `{"name":"net a","type":"ipvlan","master":"eth1"}`, nil, []string{"config-malformed spec.config"}},
	{"a name with its namespace", `{"name":"ns/net-a","plugins":[{"type":"ipvlan","master":"eth1"}]}`, nil, []string{"config-malformed spec.config"}},

	{"ipvlan without a master", `{"type":"ipvlan","mode":"l3"}`, nil, []string{"master-missing spec.config.master"}},
	{"ipvlan behind another plugin takes its interface", `{"plugins":[{"type":"later"},{"type":"ipvlan"}]}`, nil, nil},
	{"a mode of ipvlan in capitals", `{"type":"ipvlan","master":"eth1","mode":"L2"}`, nil, []string{"plugin-malformed spec.config.mode"}},
	{"a mode of macvlan for ipvlan", `{"type":"ipvlan","master":"eth1","mode":"bridge"}`, nil, []string{"plugin-malformed spec.config.mode"}},
	{"a mode of macvlan that is none", `{"type":"macvlan","master":"eth1","mode":"passthrough"}`, nil, []string{"plugin-malformed spec.config.mode"}},
	{"an MTU that is text", `{"type":"ipvlan","master":"eth1","mtu":"1500"}`, nil, []string{"plugin-malformed spec.config.mtu"}},
	{"a master that is a list", `{"plugins":[{"type":"macvlan","master":["eth1"]}]}`, nil, []string{"plugin-malformed spec.config.plugins[0].master"}},
	{"host-device with a device", `{"type":"host-device","device":"eth2"}`, nil, nil},
	{"host-device by its MAC", `{"type":"host-device","hwaddr":"02:00:00:00:00:01"}`, nil, nil},
	{"host-device by its path", `{"type":"host-device","kernelpath":"/sys/devices/a"}`, nil, nil},
	{"host-device by its bus", `{"type":"host-device","pciBusID":"0000:00:06.0"}`, nil, nil},
	{"host-device by runtimeConfig", `{"type":"host-device","runtimeConfig":{"deviceID":"0000:00:06.0"}}`, nil, nil},
	{"host-device that pods name", `{"type":"host-device","capabilities":{"deviceID":true}}`, nil, nil},
	{"a master of a blank", `{"type":"ipvlan","master":" "}`, nil, []string{"plugin-malformed spec.config.master"}},
	{"a master with a blank before it", `{"type":"macvlan","master":" eth1"}`, nil, []string{"plugin-malformed spec.config.master"}},
	{"a device with the end of a line", `{"type":"host-device","device":"eth1\n"}`, nil, []string{"plugin-malformed spec.config.device"}},
	{"host-device without a device", `{"type":"host-device"}`, nil, []string{"plugin-malformed spec.config.device"}},
	{"host-device with a master", `{"type":"host-device","master":"eth1"}`, nil, []string{"plugin-malformed spec.config.master"}},
	{"two host-devices in a list", `{"plugins":[{"type":"host-device","device":"eth1"},{"type":"host-device","device":"eth2"}]}`, nil, []string{"plugin-malformed spec.config.plugins[1].type"}},
	{"two plugins that make an interface", `{"plugins":[{"type":"ipvlan","master":"eth1"},{"type":"sbr"},{"type":"macvlan","master":"eth1","mode":"passthru"}]}`, nil, []string{"plugin-malformed spec.config.plugins[2].type"}},
	{"blanks instead of a configuration", " \n", nil, []string{"config-malformed spec.config"}},

	{"two ranges of one CIDR", with(`"ipRanges":[{"range":"10.10.1.70-10.10.1.72/24"},{"range":"10.10.1.80-10.10.1.82/24"}]`), []string{"10.10.1.70-10.10.1.72", "10.10.1.80-10.10.1.82"}, []string{"ipam-malformed spec.config.ipam.ipRanges[1].range"}},
	{"two ranges of one CIDR with bounds", with(`"ipRanges":[{"range":"10.10.1.0/24","range_start":"10.10.1.70","range_end":"10.10.1.70"},{"range":"10.10.1.9/24","range_start":"10.10.1.75","range_end":"10.10.1.75"}]`), []string{"10.10.1.70", "10.10.1.75"}, []string{"ipam-malformed spec.config.ipam.ipRanges[1].range"}},
	{"range and ipRanges of one CIDR", with(`"range":"10.10.1.70-10.10.1.72/24","ipRanges":[{"range":"10.10.1.80-10.10.1.82/24"}]`), []string{"10.10.1.70-10.10.1.72", "10.10.1.80-10.10.1.82"}, []string{"ipam-malformed spec.config.ipam.ipRanges[0].range"}},
	{"two ranges of two CIDRs", with(`"ipRanges":[{"range":"10.10.1.64/29"},{"range":"10.10.1.72/29"}]`), []string{"10.10.1.65-10.10.1.70", "10.10.1.73-10.10.1.78"}, nil},
	{"a name of a network that is no name of an object", with(`"range":"10.10.1.64/29","network_name":"Net_A"`), []string{"10.10.1.65-10.10.1.70"}, []string{"ipam-malformed spec.config.ipam.network_name"}},

	{"slices", sliced("10.10.1.64/28", "/30", `,"network_name":"n"`), []string{"10.10.1.65-10.10.1.78"}, nil},
	{"slices without a slash", sliced("10.10.1.64/28", "30", `,"network_name":"n"`), []string{"10.10.1.65-10.10.1.78"}, nil},
	{"slices by the configuration's name", strings.Replace(sliced("10.10.1.64/28", "/30", ""), "{", `{"name":"net-a",`, 1), []string{"10.10.1.65-10.10.1.78"}, nil},
	{"slices by a name that is none of an object", strings.Replace(sliced("10.10.1.64/28", "/30", ""), "{", `{"name":"Net_A",`, 1), []string{"10.10.1.65-10.10.1.78"}, []string{"ipam-malformed spec.config.ipam.node_slice_size"}},
	{"slices without a name", sliced("10.10.1.64/28", "/30", ""), []string{"10.10.1.65-10.10.1.78"}, []string{"ipam-malformed spec.config.ipam.node_slice_size"}},
	{"slices of a list with a name", `{"cniVersion":"0.3.1","name":"net-a","plugins":[` + sliced("10.10.1.64/28", "/30", "") + `]}`, []string{"10.10.1.65-10.10.1.78"}, []string{"ipam-malformed spec.config.plugins[0].ipam.node_slice_size"}},
	{"slices of a list with a network_name", `{"cniVersion":"0.3.1","plugins":[` + sliced("10.10.1.64/28", "/30", `,"network_name":"n"`) + `]}`, []string{"10.10.1.65-10.10.1.78"}, nil},
	{"slices of a later plugin", `{"cniVersion":"0.3.1","plugins":[{"type":"host-device","device":"eth1"},{"type":"later","ipam":{"type":"whereabouts","range":"10.10.1.64/28","node_slice_size":"/30","network_name":"n"}}]}`, []string{"10.10.1.65-10.10.1.78"}, []string{"ipam-malformed spec.config.plugins[1].ipam.node_slice_size"}},
	{"slices larger than the range", sliced("10.10.1.64/26", "/24", `,"network_name":"n"`), []string{"10.10.1.65-10.10.1.126"}, []string{"ipam-malformed spec.config.ipam.node_slice_size"}},
	{"slices that are no number", sliced("10.10.1.64/26", "eight", `,"network_name":"n"`), []string{"10.10.1.65-10.10.1.126"}, []string{"ipam-malformed spec.config.ipam.node_slice_size"}},
	{"slices of two addresses", sliced("10.10.1.64/26", "/31", `,"network_name":"n"`), []string{"10.10.1.65-10.10.1.126"}, []string{"range-empty spec.config.ipam.node_slice_size"}},
	{"slices of IPv6", sliced("2600:1f13:0:1::/80", "/96", `,"network_name":"n"`), []string{"2600:1f13:0:1::1-2600:1f13:0:1:0:ffff:ffff:fffe"}, []string{"ipam-malformed spec.config.ipam.node_slice_size"}},
	{"slices of two ranges", with(`"node_slice_size":"/30","network_name":"n","ipRanges":[{"range":"10.10.1.64/29"},{"range":"10.10.1.72/29"}]`), []string{"10.10.1.65-10.10.1.70", "10.10.1.73-10.10.1.78"}, []string{"ipam-malformed spec.config.ipam.ipRanges[1].range"}},
	{"slices and bounds", sliced("10.10.1.70-10.10.1.79/24", "/28", `,"network_name":"n"`), []string{"10.10.1.1-10.10.1.254"}, []string{"setting-ignored spec.config.ipam.range"}},
}

func TestSectionsAreJudgedAsTheirPluginsDo(t *testing.T) {
	for _, c := range sectionCases {
		t.Run(c.name, func(t *testing.T) {
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

func TestADeviceOfAResourceNeedsNoName(t *testing.T) {
	d := nad.Definition{Config: `{"type":"host-device"}`, Annotations: map[string]string{nad.ResourceAnnotation: "example.com/eni"}}
	if got := nad.Read(d).Findings; len(got) > 0 {
		t.Errorf("findings %v", got)
	}
}

func TestHintsNameWhatWasMeant(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"a plugin", `{"type":"ipvaln"}`, `did you mean "ipvlan"?`},
		{"an IPAM", ipvlan(`{"type":"wherabouts"}`), `did you mean "whereabouts"?`},
		{"the key of the IPAM", `{"type":"ipvlan","master":"eth1","impa":{}}`, `did you mean "ipam"?`},
		{"exclusions", with(`"range":"10.10.1.64/26","excludes":[]`), `did you mean "exclude"?`},
		{"a bound", with(`"range":"10.10.1.64/26","rangeStart":"x"`), `did you mean "range_start"?`},
		{"a mode", `{"type":"ipvlan","master":"eth1","mode":"L3S"}`, `write "l3s"`},
		{"a version", versioned(`"v0.3.1"`), `write "0.3.1"`},
		{"a version without its last number", versioned(`"0.3"`), `write "0.3.0"`},
		{"a version that is too new", versioned(`"1.2.0"`), `write "1.1.0"`},
		{"a device", `{"type":"host-device","master":"eth1"}`, `write "device": "eth1"`},
		{"the place of exclude", with(`"range":"10.10.1.64/26","exclude":"x"`), `spec.config.ipam.exclude is a JSON string; want a list`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := nad.Read(nad.Definition{Config: c.config}).Findings
			if len(got) == 0 || !strings.Contains(got[0].Message, c.want) {
				t.Errorf("findings %v, want one with %q first", got, c.want)
			}
		})
	}
}

// goWords are words that only who wrote this program knows.
var goWords = regexp.MustCompile(`Go (value|struct)|json: |whereabouts(Range|Strict)|hostLocalRange|staticAddress|subnetText|\btypes\.|net\.IP|nad\.|result\.`)

// FuzzMessagesNameNoGoFields gives each key of each plugin values of other types:
// messages name the document's own keys.
func FuzzMessagesNameNoGoFields(f *testing.F) {
	for _, value := range []string{`7`, `1.5`, `"x"`, `true`, `[]`, `[7]`, `["x"]`, `[[7]]`, `{}`, `{"x":7}`, `[{"range":7}]`, `[{"exclude":"x"}]`, `[[{"subnet":7}]]`, `[{"address":{}}]`, `[{"dst":7}]`, `[{"gw":[]}]`, `{"nameservers":"x"}`} {
		for _, key := range []string{
			"type", "routes", "dns", "addresses", "ipRanges", "range", "range_start", "exclude", "gateway", "node_slice_size", "network_name", "kubernetes", "log_file",
			"enable_overlapping_ranges", "leader_lease_duration", "ranges", "subnet", "rangeStart", "dataDir", "master", "mode", "mtu", "device", "capabilities", "runtimeConfig", "args", "plugins", "name", "cniVersion",
		} {
			f.Add(key, value)
		}
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		if !json.Valid([]byte(value)) {
			return
		}
		entry, err := json.Marshal(map[string]json.RawMessage{key: []byte(value)})
		if err != nil {
			t.Fatal(err)
		}
		rest := strings.TrimPrefix(string(entry), "{")
		configs := []string{`{"type":"ipvlan","master":"eth1",` + rest, `{"type":"macvlan","master":"eth1",` + rest, `{"type":"host-device","device":"eth1",` + rest}
		for _, kind := range []string{"whereabouts", "host-local", "static"} {
			configs = append(configs, ipvlan(`{"type":"`+kind+`",`+rest))
		}
		for _, config := range configs {
			for _, finding := range nad.Read(nad.Definition{Config: config}).Findings {
				if word := goWords.FindString(finding.Field + " " + finding.Message); word != "" && !strings.Contains(config, word) {
					t.Errorf("%s: %q in %s: %s", config, word, finding.Field, finding.Message)
				}
			}
		}
	})
}

// TestTheWorstKeysAreBounded reads a NAD full of misspelt keys and routes: what is
// said of it is bounded, and the mistake behind them is found.
func TestTheWorstKeysAreBounded(t *testing.T) {
	var keys, routes []string
	for i := range 1000 {
		keys = append(keys, fmt.Sprintf(`"rangeStart%d":1`, i))
		routes = append(routes, fmt.Sprintf(`{"dest%d":1,"dst":"10.20.0.0/16"}`, i))
	}
	config := with(`"range":"x","routes":[` + strings.Join(routes, ",") + `],` + strings.Join(keys, ","))
	found := nad.Read(nad.Definition{Config: config}).Findings
	if len(found) > 20 || !slices.ContainsFunc(found, func(f nad.Finding) bool { return f.Field == "spec.config.ipam.range" && f.Severity == nad.Error }) {
		t.Errorf("%d findings: %v", len(found), found)
	}
}
