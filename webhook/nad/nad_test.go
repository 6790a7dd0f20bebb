package nad_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

var comparePrefixes = cmpopts.EquateComparable(netip.Prefix{})

func TestSelectionsFollowMultus(t *testing.T) {
	for _, c := range []struct {
		name, annotation string
		want             []nad.Selection
	}{
		{"nothing is selected by an empty annotation", "", nil},
		{"nothing is selected by an empty list", "[]", []nad.Selection{}},
		{"a name is looked up in the pod's namespace", "a", []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1"}}},
		{"spaces do not matter", " ns / a @ eth1 ,b", []nad.Selection{{Namespace: "ns", Name: "a", Interface: "eth1"}, {Namespace: "pod-ns", Name: "b", Interface: "net2"}}},
		{"empty parts are like none", "/a@", []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1"}}},
		{"the word null is a name", "null", []nad.Selection{{Namespace: "pod-ns", Name: "null", Interface: "net1"}}},
		{"the same NAD twice is two interfaces", "a,a", []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1"}, {Namespace: "pod-ns", Name: "a", Interface: "net2"}}},
		{"an interface of 15 characters", "a@abcdefghijklmno", []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "abcdefghijklmno"}}},
		{"a JSON element with all fields", `[{"name":"a.b","namespace":"ns","interface":"x","ips":["10.1.1.5/24","2600::5","10.1.1.6"],"mac":"02:00:00:00:00:01","infiniband-guid":"c2:11:22:33:44:55:66:77","default-route":["10.1.1.1"],"cni-args":{"x":1},"portMappings":[{"hostPort":1}],"later":true}]`,
			[]nad.Selection{{Namespace: "ns", Name: "a.b", Interface: "x", IPs: []netip.Prefix{netip.MustParsePrefix("10.1.1.5/24"), netip.MustParsePrefix("2600::5/128"), netip.MustParsePrefix("10.1.1.6/32")}, Texts: []string{"10.1.1.5/24", "2600::5", "10.1.1.6"}}}},
		{"addresses in cni-args", `[{"name":"a","cni-args":{"ips":["10.1.1.5/24"]}}]`, []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1", Args: nad.Args{Given: true, IPs: []string{"10.1.1.5/24"}}}}},
		{"addresses in cni-args with a key in capitals", `[{"name":"a","cni-args":{"IPs":["10.1.1.5"]}}]`, []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1", Args: nad.Args{Given: true, IPs: []string{"10.1.1.5"}}}}},
		{"addresses in cni-args that are no list are the plugin's business", `[{"name":"a","cni-args":{"ips":"10.1.1.5/24"}}]`, []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1", Args: nad.Args{Given: true, Malformed: "is a JSON string; want a list"}}}},
		{"an address with a length that begins with a zero, as Go reads it", `[{"name":"a","ips":["10.1.1.5/024"]}]`, []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1", IPs: []netip.Prefix{netip.MustParsePrefix("10.1.1.5/24")}, Texts: []string{"10.1.1.5/024"}}}},
		{"IPv4 written as IPv6 is IPv4", `[{"name":"a","ips":["::ffff:10.1.1.5","::ffff:10.1.1.6/120"]}]`, []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1", IPs: []netip.Prefix{netip.MustParsePrefix("10.1.1.5/32"), netip.MustParsePrefix("10.1.1.6/24")}, Texts: []string{"::ffff:10.1.1.5", "::ffff:10.1.1.6/120"}}}},
		{"fields that only Multus reads", `[{"name":"a","portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"},null],"bandwidth":{"ingressRate":1000},"cni-args":null,"deviceID":"0000:00:06.0","default-route":["10.1.1.1"]}]`, []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "net1"}}},
		{"the old name of the interface field", `[{"name":"a","interfaceRequest":"x"}]`, []nad.Selection{{Namespace: "pod-ns", Name: "a", Interface: "x"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := nad.Selections("pod-ns", c.annotation)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, comparePrefixes); diff != "" {
				t.Errorf("selections (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelectionsRefuseWithElementMistakeAndForms(t *testing.T) {
	for _, c := range []struct{ name, annotation, want string }{
		{"an element that is missing", "a,,b", `element 2 (""): has no name`},
		{"a comma at the end", "a,", `element 2 (""): has no name`},
		{"only spaces", "  ", `element 1 (""): has no name`},
		{"two slashes", "a/b/c", `element 1 ("a/b/c"): has more than one "/"`},
		{"two interfaces", "a@b@c", `element 1 ("a@b@c"): has more than one "@"`},
		{"capital letters", "Net", `name "Net" is not a Kubernetes name`},
		{"a dash at the end", "a-", `name "a-" is not a Kubernetes name`},
		{"a dot in the short form", "a.b", `name "a.b" has a dot`},
		{"a bad namespace", "n_s/a", `namespace "n_s" is not a Kubernetes name`},
		{"a long interface", "a@abcdefghijklmnop", `interface "abcdefghijklmnop" is not an interface name`},
		{"an interface with a colon", "a@eth1:0", `interface "eth1:0" is not an interface name`},
		{"an interface with a comma", `[{"name":"a","interface":"a,b"}]`, `element 1: interface "a,b" is not an interface name`},
		{"JSON without an end", `[{"name":"a"}`, "not JSON at character 13"},
		{"a JSON object", `{"name":"a"}`, "is a JSON object; want a list"},
		{"a JSON string", `"a"`, "is a JSON string; want a list"},
		{"an element that is null", `[{"name":"a"},null]`, "element 2: is null; want an object"},
		{"an element that is a string", `["a"]`, "element 1: is a JSON string; want an object"},
		{"an element without a name", `[{"namespace":"a"}]`, "element 1: has no name"},
		{"a name with its namespace in JSON", `[{"name":"ns/a"}]`, `name "ns/a" is not a Kubernetes name`},
		{"one address that is not a list", `[{"name":"a","ips":"10.1.1.5"}]`, `element 1: field "ips" is a JSON string; want a list`},
		{"an address that is none", `[{"name":"a","ips":["10.1.1"]}]`, `element 1: ips: "10.1.1" is not an address`},
		{"an address with a zone", `[{"name":"a","ips":["fe80::1%eth0"]}]`, `ips: "fe80::1%eth0" is not an address`},
		{"a rate that is text", `[{"name":"a","bandwidth":{"ingressRate":"1M"}}]`, `element 1: field "bandwidth.ingressRate" is a JSON string; want a whole number`},
		{"bandwidth that is a number", `[{"name":"a","bandwidth":1000}]`, `element 1: field "bandwidth" is a JSON number; want an object`},
		{"a port that is text", `[{"name":"a","portMappings":[{"hostPort":"8080","containerPort":80}]}]`, `element 1: field "portMappings[0].hostPort" is a JSON string; want a whole number`},
		{"a port with a fraction", `[{"name":"a","portMappings":[{"hostPort":80.5}]}]`, `element 1: field "portMappings[0].hostPort" is a JSON number 80.5; want a whole number`},
		{"port mappings that are an object", `[{"name":"a","portMappings":{"hostPort":80}}]`, `element 1: field "portMappings" is a JSON object; want a list`},
		{"cni-args that are a list", `[{"name":"a","cni-args":["ips"]}]`, `element 1: field "cni-args" is a JSON array; want an object`},
		{"a default route with a length", `[{"name":"a","default-route":["10.1.1.1/24"]}]`, `element 1: field "default-route[0]" is "10.1.1.1/24", which is not an IP address`},
		{"a default route that is not a list", `[{"name":"a","default-route":"10.1.1.1"}]`, `element 1: field "default-route" is a JSON string; want a list`},
		{"a device that is a number", `[{"name":"a","deviceID":6}]`, `element 1: field "deviceID" is a JSON number; want a string`},
		{"a GUID that is none", `[{"name":"a","infiniband-guid":"c2:11"}]`, `element 1: "c2:11" is not a hardware address`},
		{"a hardware address that is none", `[{"name":"a","mac":"02:00"}]`, `element 1: "02:00" is not a hardware address`},
		{"a name that is too long", strings.Repeat("a", 254), "is not a Kubernetes name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := nad.Selections("pod-ns", c.annotation)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range []string{c.want, `want "name", "namespace/name"`} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestParseReadsPluginsAndLists(t *testing.T) {
	for _, c := range []struct {
		name, config string
		want         nad.Config
	}{
		{"one plugin", `{"name":"n","type":"ipvlan","ipam":{"type":"whereabouts","range":"10.0.0.0/8"}}`, nad.Config{Name: "n", Plugins: []nad.Plugin{{Type: "ipvlan", IPAM: "whereabouts"}}}},
		{"a plugin without a name and IPAM", `{"type":"macvlan"}`, nad.Config{Plugins: []nad.Plugin{{Type: "macvlan"}}}},
		{"an empty IPAM", `{"type":"macvlan","ipam":{}}`, nad.Config{Plugins: []nad.Plugin{{Type: "macvlan"}}}},
		{"a list without a name", `{"plugins":[{"type":"sriov"},{"type":"sbr","ipam":null}]}`, nad.Config{Plugins: []nad.Plugin{{Type: "sriov"}, {Type: "sbr"}}}},
		{"a configuration with a type is one plugin whatever else it holds", `{"type":"bridge","plugins":[{"type":"ipvlan"}]}`, nad.Config{Plugins: []nad.Plugin{{Type: "bridge"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := nad.Parse(c.config)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefusesWithThePlace(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"nothing", "", "spec.config is empty"},
		{"blanks", " \n", "not JSON at character 2"},
		{"no JSON", `{"type":`, "not JSON at character 8"},
		{"a JSON list", `[]`, "is a JSON array; want an object"},
		{"no type", `{"ipam":{}}`, "plugin 1: has no type"},
		{"a plugin without a type", `{"plugins":[{"type":"ipvlan"},{}]}`, "plugin 2: has no type"},
		{"a plugin that is null", `{"plugins":[null]}`, "plugin 1: is null"},
		{"no plugins", `{"plugins":[]}`, "plugins is empty"},
		{"plugins that are an object", `{"plugins":{}}`, "plugins is not a list"},
		{"an IPAM that is a string", `{"type":"ipvlan","ipam":"dhcp"}`, `plugin 1: field "ipam" is a JSON string; want an object`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := nad.Parse(c.config)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestNetworkIsClassified(t *testing.T) {
	const ipvlan = `{"type":"ipvlan","ipam":{"type":"whereabouts"}}`
	for _, c := range []struct {
		name, config, label string
		want                nad.Network
		problem             error
	}{
		{name: "ipvlan is managed", config: ipvlan, want: nad.Network{Managed: true, Addressed: true}},
		{name: "macvlan is managed", config: `{"type":"macvlan"}`, want: nad.Network{Managed: true}},
		{name: "host-device is managed", config: `{"type":"host-device"}`, want: nad.Network{Managed: true}},
		{name: "sriov is managed", config: `{"type":"sriov"}`, want: nad.Network{Managed: true}},
		{name: "bridge is not", config: `{"type":"bridge","ipam":{"type":"dhcp"}}`, want: nad.Network{Addressed: true}},
		{name: "the first plugin of a list decides", config: `{"plugins":[{"type":"bridge"},{"type":"ipvlan"}]}`, want: nad.Network{}},
		{name: "any plugin of a list may give an address", config: `{"plugins":[{"type":"ipvlan"},{"type":"later","ipam":{"type":"static"}}]}`, want: nad.Network{Managed: true, Addressed: true}},
		{name: "the label takes a network out", config: ipvlan, label: "false", want: nad.Network{Addressed: true}},
		{name: "the label takes a network in", config: `{"type":"vlan"}`, label: "true", want: nad.Network{Managed: true}},
		{name: "another label means nothing", config: ipvlan, label: "yes", want: nad.Network{Managed: true, Addressed: true}, problem: nad.ErrBadLabel},
		{name: "no config is a guess", want: nad.Network{Managed: true, Addressed: true}, problem: nad.ErrNoConfig},
		{name: "no config and a label is no guess", label: "true", want: nad.Network{Managed: true, Addressed: true}},
		{name: "no config and the other label is no guess", label: "false", want: nad.Network{Addressed: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := nad.Definition{Config: c.config}
			if c.label != "" {
				d.Labels = map[string]string{nad.ManagedLabel: c.label}
			}
			got := nad.Read(d)
			if !errors.Is(got.Problem, c.problem) {
				t.Errorf("problem %v, want %v", got.Problem, c.problem)
			}
			if got.Managed != c.want.Managed || got.Addressed != c.want.Addressed {
				t.Errorf("network %+v, want %+v", got, c.want)
			}
		})
	}
}
