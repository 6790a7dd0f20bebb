package spec_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

const oneNetwork = `[{"name":"n3","subnets":["subnet-a","subnet-b"],"securityGroups":["sg-1"]}]`

func environ(more ...string) []string {
	return append([]string{"PATH=/bin", "NODEGROUP_NAME=upf", "NODEGROUP_CLUSTER=telco", "NODEGROUP_NETWORKS=" + oneNetwork}, more...)
}

func TestWhatIsNotSetIsTheDefault(t *testing.T) {
	got, err := spec.Parse(environ())
	if err != nil {
		t.Fatal(err)
	}
	want := spec.Settings{
		Name: "upf", Cluster: "telco", Hooks: []string{"multus-ipmgr/telco/upf"},
		OnRefusal: spec.OnRefusalAuto, SweepAge: 15 * time.Minute,
		Networks: []spec.Network{{
			Name: "n3", DeviceIndex: 1, HostName: "eth1", Subnets: []string{"subnet-a", "subnet-b"}, SecurityGroups: []string{"sg-1"},
			Addressing: spec.FirstFree, Reservation: spec.Required, IPv6: spec.IPv6Auto,
		}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(spec.Workers{})); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsAreRead(t *testing.T) {
	got, err := spec.Parse(environ("NODEGROUP_HOOKS=a, b/c", "NODEGROUP_ON_REFUSAL=hold", "NODEGROUP_BUDGET=90s", "NODEGROUP_SWEEP_AGE=0s", "NODEGROUP_LOG_LEVEL=Debug"))
	if err != nil {
		t.Fatal(err)
	}
	want := spec.Settings{Name: "upf", Cluster: "telco", Hooks: []string{"a", "b/c"}, OnRefusal: spec.OnRefusalHold, Budget: 90 * time.Second, LogLevel: slog.LevelDebug}
	got.Networks = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestANetworkTakesItsDefaultsFromItsPlaceAndItsOtherFields(t *testing.T) {
	networks, err := spec.ParseNetworks([]byte(`[
		{"name":"a","subnets":["subnet-a"],"securityGroups":["sg-1"],"workers":"10.10.1.4-10.10.1.31"},
		{"name":"b","subnets":["subnet-a"],"securityGroups":["sg-1"],"workers":{"subnet-a":"10.10.1.32/27"},"reservation":"off","ipv6":"none","sourceDestCheck":true},
		{"name":"c","subnets":["subnet-b"],"securityGroups":["sg-1"],"addressing":"automatic","deviceIndex":5,"networkCard":1,"tags":{"team":"ran"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		device, card int
		host         string
		reservation  spec.Demand
	}
	var got []row
	for _, n := range networks {
		got = append(got, row{n.DeviceIndex, n.NetworkCard, n.HostName, n.Reservation})
	}
	want := []row{{1, 0, "eth1", spec.Warn}, {2, 0, "eth2", spec.Off}, {5, 1, "eth5", spec.Required}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if r, ok := networks[1].Workers.In("subnet-a"); !ok || r.String() != "10.10.1.32-10.10.1.63" {
		t.Errorf("workers %v, %t", r, ok)
	}
	if _, ok := networks[1].Workers.In("subnet-b"); ok {
		t.Error("a subnet without a range of its own has one")
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	_, err := spec.Parse([]string{
		"NODEGROUP_NAME=a.b", "NODEGROUP_HOOKS=x y", "NODEGROUP_ON_REFUSAL=wait", "NODEGROUP_BUDGET=1ms", "NODEGROUP_SWEEP_AGE=-1s",
		"NODEGROUP_LOG_LEVEL=loud", "NODEGROUP_NETWORK=[]",
		`NODEGROUP_NETWORKS=[{"name":"","subnets":[],"securityGroups":["x"],"addressing":"dhcp","workers":"10.1.1.9-10.1.1.4","deviceIndex":-1,"hostName":"a b","ipv6":"yes"},` +
			`{"name":"b","subnets":["subnet-a","subnet-a"],"securityGroups":["sg-1"],"hostName":"eth7","addressing":"automatic","workers":{"subnet-x":"10.1.1.0/24"},"tags":{"aws:x":"y"}},` +
			`{"name":"b","subnets":["subnet-a"],"securityGroups":["sg-1"],"hostName":"eth7","deviceIndex":2}]`,
	})
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{
		"NODEGROUP_CLUSTER: is missing", `NODEGROUP_NAME: "a.b"`, `NODEGROUP_HOOKS: "x y"`, `NODEGROUP_ON_REFUSAL: "wait"`, `NODEGROUP_BUDGET: "1ms"`,
		`NODEGROUP_SWEEP_AGE: "-1s"`, `NODEGROUP_LOG_LEVEL: "loud"`, "NODEGROUP_NETWORK: no such setting",
		"network 1: name: is missing", "network 1: subnets: 0 ids", `network 1: securityGroups: "x" is not an id`, `network 1: addressing: "dhcp"`,
		"network 1: workers: \"10.1.1.9-10.1.1.4\" ends before it begins", "network 1: deviceIndex: -1", `network 1: hostName: "a b"`, `network 1: ipv6: "yes"`,
		`network "b": subnets: subnet-a is there twice`, `network "b": workers: subnet-x is not one of`, `network "b": workers: is for first-free`, `network "b": tags: "aws:x"`,
		`network "b": name: another network has b too`, `network "b": hostName: another network has eth7 too`, `network "b": deviceIndex: another network has 2 of card 0 too`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestNetworksThatCannotBeRead(t *testing.T) {
	for _, tc := range []struct{ name, json, want string }{
		{"no list", `{}`, "want a JSON list"},
		{"an empty list", `[]`, "no network"},
		{"a misspelt field", `[{"name":"a","subnet":["subnet-a"]}]`, `network 1: "subnet" is not a field; want one of name,`},
		{"a field of another type", `[{"name":7}]`, "network 1: json: cannot unmarshal number"},
		{"workers that are a number", `[{"name":"a","subnets":["subnet-a"],"securityGroups":["sg-1"],"workers":7}]`, "workers: want a range, or an object"},
		{"an IPv6 range for workers", `[{"name":"a","subnets":["subnet-a"],"securityGroups":["sg-1"],"workers":"2001:db8::/64"}]`, "is not an IPv4 range"},
		{"host bits", `[{"name":"a","subnets":["subnet-a"],"securityGroups":["sg-1"],"workers":"10.10.1.4/24"}]`, "did you mean 10.10.1.0/24?"},
		{"too many", "[" + strings.Repeat("{},", spec.MaxNetworks) + "{}]", "65 networks"},
		{"too long", strings.Repeat(" ", spec.MaxJSON+1), "want at most"},
	} {
		if _, err := spec.ParseNetworks([]byte(tc.json)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestWhichRefusalsHoldAWorker(t *testing.T) {
	got := map[spec.OnRefusal][]spec.Reason{}
	for _, o := range []spec.OnRefusal{spec.OnRefusalAuto, spec.OnRefusalHold, spec.OnRefusalAbandon} {
		for _, r := range spec.Reasons() {
			if !o.Holds(r) {
				got[o] = append(got[o], r)
			}
		}
	}
	want := map[spec.OnRefusal][]spec.Reason{
		spec.OnRefusalAuto:    {spec.SubnetFull, spec.DeviceTaken, spec.InstanceGone},
		spec.OnRefusalHold:    {spec.InstanceGone},
		spec.OnRefusalAbandon: spec.Reasons(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("abandoned are:", diff)
	}
}

func TestEnds(t *testing.T) {
	for _, tc := range []struct{ prefix, first, last string }{
		{"10.10.1.64/26", "10.10.1.64", "10.10.1.127"}, {"10.10.1.7/32", "10.10.1.7", "10.10.1.7"},
		{"0.0.0.0/0", "0.0.0.0", "255.255.255.255"}, {"2001:db8::/127", "2001:db8::", "2001:db8::1"},
	} {
		first, last := spec.Ends(netip.MustParsePrefix(tc.prefix))
		if first.String() != tc.first || last.String() != tc.last {
			t.Errorf("%s: got %v to %v", tc.prefix, first, last)
		}
	}
}

// FuzzParseNetworks holds that networks that were read are complete, and the
// same when they are written and read again.
func FuzzParseNetworks(f *testing.F) {
	f.Add(oneNetwork)
	f.Add(`[{"name":"a","subnets":["subnet-a"],"securityGroups":["sg-1"],"workers":{"subnet-a":"10.10.1.0/28"},"tags":{"a":"b"}}]`)
	f.Add(`[{"name":"a","subnets":["subnet-a"],"securityGroups":["sg-1"],"workers":"10.10.1.4-10.10.1.9","networkCard":1}]`)
	f.Add(`[{"workers":null}]`)
	f.Fuzz(func(t *testing.T, text string) {
		networks, err := spec.ParseNetworks([]byte(text))
		if err != nil {
			return
		}
		written, err := json.Marshal(networks)
		if err != nil {
			t.Fatal(err)
		}
		again, err := spec.ParseNetworks(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if diff := cmp.Diff(fmt.Sprintf("%+v", networks), fmt.Sprintf("%+v", again)); diff != "" {
			t.Errorf("%s: %s", written, diff)
		}
	})
}
