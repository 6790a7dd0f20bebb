package topology

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const base = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-a, cidr: 10.10.1.0/24, ipv6Cidr: "2600:1f13:0:1::/64", zone: us-west-2a}
- {id: subnet-b, cidr: 10.10.2.0/24, zone: us-west-2b}
`

func TestLoadReadsEveryKey(t *testing.T) {
	got, err := Load(strings.NewReader(base + `
account: "210987654321"
settings: {throttle: true, imdsLag: 1.5s, dataPathLag: 2}
reservations:
- {id: scr-1, subnet: subnet-a, cidr: 10.10.1.64/26, type: explicit, description: pods, tags: {a: b}}
enis:
- {id: eni-free, subnet: subnet-b, primary: 10.10.2.9, mac: "02:AA:00:00:00:01", owner: "1", groups: [sg-1], description: spare}
instances:
- id: i-1
  type: c5n.18xlarge
  hopLimit: 1
  httpTokens: optional
  role: node
  tags: {Name: one}
  enis:
  - id: eni-1
    subnet: subnet-a
    deviceIndex: 1
    mac: "02:00:00:00:01:01"
    primary: 10.10.1.11
    secondaries: [10.10.1.80]
    ipv6: ["2600:1F13:0:1:0::80"]
    ipv4Prefixes: [10.10.1.32/28]
    ipv6Prefixes: ["2600:1f13:0:1:5::/80"]
    tags: {node.k8s.amazonaws.com/no_manage: "true"}
`))
	if err != nil {
		t.Fatal(err)
	}
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	want := Topology{
		Region: "us-west-2", Account: "210987654321", VPC: VPC{ID: "vpc-1", CIDR: prefix("10.10.0.0/16")},
		Subnets: []Subnet{
			{ID: "subnet-a", CIDR: prefix("10.10.1.0/24"), IPv6CIDR: prefix("2600:1f13:0:1::/64"), Zone: "us-west-2a"},
			{ID: "subnet-b", CIDR: prefix("10.10.2.0/24"), Zone: "us-west-2b"},
		},
		Reservations: []Reservation{{
			ID: "scr-1", Subnet: "subnet-a", CIDR: prefix("10.10.1.64/26"), Type: Explicit,
			Description: "pods", Tags: map[string]string{"a": "b"},
		}},
		Instances: []Instance{{
			ID: "i-1", Type: "c5n.18xlarge", Zone: "us-west-2a", HopLimit: 1, TokensOptional: true, Role: "node",
			Tags: map[string]string{"Name": "one"},
			ENIs: []ENI{{
				ID: "eni-1", Subnet: "subnet-a", DeviceIndex: 1, MAC: "02:00:00:00:01:01", Primary: addr("10.10.1.11"),
				Secondaries: []netip.Addr{addr("10.10.1.80")}, IPv6: []netip.Addr{addr("2600:1f13:0:1::80")},
				IPv4Prefixes: []netip.Prefix{prefix("10.10.1.32/28")},
				IPv6Prefixes: []netip.Prefix{prefix("2600:1f13:0:1:5::/80")},
				Tags:         map[string]string{"node.k8s.amazonaws.com/no_manage": "true"}, Groups: []string{DefaultGroup},
			}},
		}},
		ENIs: []ENI{{
			ID: "eni-free", Subnet: "subnet-b", Primary: addr("10.10.2.9"), MAC: "02:aa:00:00:00:01", Owner: "1",
			Groups: []string{"sg-1"}, Description: "spare",
		}},
		Settings: []byte(`{"dataPathLag":2,"imdsLag":"1.5s","throttle":true}`),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := Check(got); err != nil {
		t.Errorf("Check refuses what Load accepted: %v", err)
	}
}

func TestLoadReportsMistakes(t *testing.T) {
	worker := func(eni string) string {
		return base + "instances:\n- {id: i-1, type: m5.large, enis: [" + eni + "]}\n"
	}
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"an empty file says so and nothing else", "", []string{"the file is empty"}},
		{"two documents in one file are one too many", base + "---\nregion: x\n", []string{"the file has more than one YAML document"}},
		{"unknown keys are all named with their lines", base + "colour: red\nenis:\n- {id: eni-1, subnet: subnet-a, primary: 10.10.1.9, speed: 9}\n",
			[]string{"line 7: field colour not found in type topology.file", "line 9: field speed not found in type topology.fileENI"}},
		{"unknown settings are refused as the control API refuses them", base + "settings: {thrott1e: true}\n",
			[]string{`settings: json: unknown field "thrott1e"`}},
		{"a topology without anything lacks region and VPC", "subnets: []\n",
			[]string{"region: is missing", "vpc.id: is missing", "vpc.cidr: is missing or wrong"}},
		{"an address outside the subnet of its ENI", worker("{id: eni-1, subnet: subnet-a, primary: 10.10.2.9}"),
			[]string{"instances[0].enis[0]: address 10.10.2.9 is outside subnet subnet-a (10.10.1.0/24)"}},
		{"an IPv6 address in a subnet without IPv6", worker(`{id: eni-1, subnet: subnet-b, primary: 10.10.2.9, ipv6: ["2600::9"]}`),
			[]string{"instances[0].enis[0]: address 2600::9 is outside subnet subnet-b, which has no IPv6 CIDR"}},
		{"an address that AWS reserves", worker("{id: eni-1, subnet: subnet-a, primary: 10.10.1.3}"),
			[]string{"instances[0].enis[0]: address 10.10.1.3 is one of those that AWS reserves in 10.10.1.0/24"}},
		{"text that is not an address, with every place of it", worker(`{id: eni-1, subnet: subnet-a, primary: here, secondaries: ["10.10.1.256"], ipv6: [10.10.1.9], mac: zz}`),
			[]string{
				`instances[0].enis[0].mac: "zz" is not a MAC address`,
				`instances[0].enis[0].primary: "here" is no IPv4 address`,
				`instances[0].enis[0].secondaries[0]: "10.10.1.256" is no IPv4 address`,
				`instances[0].enis[0].ipv6[0]: "10.10.1.9" is no IPv6 address`,
			}},
		{"an ENI without address", worker("{id: eni-1, subnet: subnet-a}"), []string{"instances[0].enis[0].primary: is missing"}},
		{"ids, MACs and addresses that are used twice",
			worker(`{id: eni-1, subnet: subnet-a, primary: 10.10.1.9, mac: "02:00:00:00:00:01"}, {id: eni-1, subnet: subnet-a, primary: 10.10.1.9, mac: "02:00:00:00:00:01"}`),
			[]string{
				"instances[0].enis[1].id: eni-1 is used by instances[0].enis[0].id already",
				"instances[0].enis[1].mac: 02:00:00:00:00:01 is used by instances[0].enis[0].mac already",
				"instances[0].enis[1]: address 10.10.1.9 is used by instances[0].enis[0] already",
				"instances[0].enis[1].deviceIndex: 0 is negative or used twice on i-1",
			}},
		{"an unknown subnet and an id that is not an ENI's", worker("{id: if-1, subnet: subnet-z, primary: 10.10.1.9}"),
			[]string{
				`instances[0].enis[0].id: "if-1" does not start with eni-`,
				`instances[0].enis[0].subnet: "subnet-z" is not a subnet of this topology`,
			}},
		{"an instance of unknown type, in a foreign zone, with an absurd hop limit",
			base + "instances:\n- {id: i-1, type: x9.huge, zone: eu-west-1a, hopLimit: 0, httpTokens: maybe}\n",
			[]string{
				`instances[0].httpTokens: "maybe" is neither required nor optional`,
				"instances[0].hopLimit: 0 is not in 1 to 64",
				`instances[0].zone: "eu-west-1a" is not a zone of region us-west-2`,
				`instances[0].type: "x9.huge" is not a known instance type`,
			}},
		{"an ENI in another zone than its instance",
			base + "instances:\n- {id: i-1, type: m5.large, zone: us-west-2a, enis: [{id: eni-1, subnet: subnet-b, primary: 10.10.2.9}]}\n",
			[]string{"instances[0].enis[0].subnet: subnet-b is in zone us-west-2b, instance i-1 in us-west-2a"}},
		{"more ENIs and addresses than the type takes",
			base + "instances:\n- {id: i-1, type: t3.nano, enis: [{id: eni-1, subnet: subnet-a, primary: 10.10.1.9, secondaries: [10.10.1.20, 10.10.1.21]}, {id: eni-2, deviceIndex: 1, subnet: subnet-a, primary: 10.10.1.10}, {id: eni-3, deviceIndex: 2, networkCard: 1, subnet: subnet-a, primary: 10.10.1.12}]}\n",
			[]string{
				"instances[0].enis: 3 ENIs, but t3.nano takes 2",
				"instances[0].enis[0]: 3 IPv4 addresses and prefixes, but an ENI of t3.nano takes 2",
				"instances[0].enis[2].networkCard: t3.nano has no network card 1",
			}},
		{"subnets that AWS would not create",
			"region: us-west-2\nvpc: {id: vpc-1, cidr: 10.10.0.0/16, ipv6Cidr: \"2600::/56\"}\nsubnets:\n" +
				"- {id: s1, cidr: 10.10.1.0/29, zone: us-west-2a}\n- {id: s2, cidr: 10.11.0.0/24, zone: us-east-1a}\n" +
				"- {id: s3, cidr: 10.10.1.0/24, ipv6Cidr: \"2601::/65\", zone: us-west-2a}\n- {id: s4, cidr: 10.10.1.5/24, zone: us-west-2a}\n",
			[]string{
				`subnets[3].cidr: "10.10.1.5/24" has host bits set, did you mean 10.10.1.0/24?`,
				"subnets[0].cidr: 10.10.1.0/29: AWS takes /16 to /28",
				`subnets[1].zone: "us-east-1a" is not a zone of region us-west-2`,
				"subnets[1].cidr: 10.11.0.0/24 is outside the VPC's 10.10.0.0/16",
				"subnets[2].ipv6Cidr: 2601::/65: AWS takes /44 to /64 in steps of 4",
				"subnets[2].ipv6Cidr: 2601::/65 is outside the VPC's 2600::/56",
				"subnets[2]: s3 overlaps subnet s1",
				"subnets[3].cidr: is missing or wrong",
			}},
		{"reservations that overlap, lie outside, or are of no type",
			base + "reservations:\n- {subnet: subnet-a, cidr: 10.10.1.64/26, type: explicit}\n- {subnet: subnet-a, cidr: 10.10.1.96/28, type: pods}\n" +
				"- {subnet: subnet-b, cidr: 10.10.1.0/28, type: prefix}\n- {subnet: subnet-z, type: prefix}\n",
			[]string{
				"reservations[3].cidr: is missing",
				`reservations[1].type: "pods" is neither explicit nor prefix`,
				"reservations[1].cidr: 10.10.1.96/28 overlaps reservations[0] (10.10.1.64/26)",
				"reservations[2].cidr: 10.10.1.0/28 is outside subnet subnet-b",
				`reservations[3].subnet: "subnet-z" is not a subnet of this topology`,
			}},
		{"VPCs that overlap, and what names one that does not exist",
			"region: us-west-2\nvpc: {id: vpc-1, cidr: 10.10.0.0/16}\nvpcs:\n- {id: vpc-2, cidr: 10.10.128.0/17}\n- {id: vpc-1, cidr: 10.30.0.0/16}\n" +
				"securityGroups:\n- {id: sg-1, vpc: vpc-9}\nsubnets:\n- {id: s1, vpc: vpc-8, cidr: 10.10.1.0/24, zone: us-west-2a}\n" +
				"- {id: s2, vpc: vpc-2, cidr: 10.30.1.0/24, zone: us-west-2a}\n",
			[]string{
				"vpcs[0]: 10.10.128.0/17 overlaps 10.10.0.0/16 of vpc-1: the VPCs share one data plane here",
				"vpcs[1].id: vpc-1 is used twice",
				`securityGroups[0].vpc: "vpc-9" is not a VPC of this topology`,
				`subnets[0].vpc: "vpc-8" is not a VPC of this topology`,
				"subnets[1].cidr: 10.30.1.0/24 is outside the VPC's 10.10.128.0/17",
			}},
		{"types, states and requesters that cannot be",
			base + "instanceTypes:\n- {name: t8i.nano}\ninstances:\n- {id: i-1, type: m5.large, state: asleep, enis: [{id: eni-1, subnet: subnet-a, primary: 10.10.1.9, requester: amazon-elb}]}\n",
			[]string{
				"instanceTypes[0]: needs a name, and interfaces and addresses (of each family on one ENI) of 1 or more",
				`instances[0].state: "asleep" is not a state of an instance`,
				"instances[0].enis[0].requester: an ENI of an AWS service is attached to none of the account's instances: list it in enis",
			}},
		{"delegated prefixes of a wrong size, outside, twice, or over an address",
			worker(`{id: eni-1, subnet: subnet-a, primary: 10.10.1.9, ipv4Prefixes: [10.10.1.0/28, 10.10.1.32/27, 10.10.2.16/28, 10.10.1.48/28, 10.10.1.48/28]}`),
			[]string{
				"instances[0].enis[0]: prefix 10.10.1.32/27: AWS delegates /28",
				"instances[0].enis[0]: prefix 10.10.2.16/28 is outside subnet subnet-a",
				"instances[0].enis[0]: prefix 10.10.1.48/28 is used by instances[0].enis[0] already",
				"instances[0].enis[0]: prefix 10.10.1.0/28 contains address 10.10.1.9 of instances[0].enis[0]",
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(strings.NewReader(tc.text))
			var got Mistakes
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want Mistakes", err)
			}
			if diff := cmp.Diff(tc.want, []string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if text := err.Error(); !strings.HasPrefix(text, "topology: ") || !strings.Contains(text, tc.want[len(tc.want)-1]) {
				t.Errorf("unclear error %q", text)
			}
		})
	}
}

func TestLoadRefusesTextThatIsNotYAML(t *testing.T) {
	if _, err := Load(strings.NewReader("region: [")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v, want an error with the line", err)
	}
}

func TestReservedAddressesAreTheFirstFourAndTheLast(t *testing.T) {
	for _, tc := range []struct {
		subnet, addr string
		want         bool
	}{
		{"10.10.1.0/24", "10.10.1.0", true},
		{"10.10.1.0/24", "10.10.1.3", true},
		{"10.10.1.0/24", "10.10.1.4", false},
		{"10.10.1.0/24", "10.10.1.254", false},
		{"10.10.1.0/24", "10.10.1.255", true},
		{"10.10.1.16/28", "10.10.1.31", true},
		{"10.10.0.0/20", "10.10.15.255", true},
		{"2600:1f13:0:1::/64", "2600:1f13:0:1::3", true},
		{"2600:1f13:0:1::/64", "2600:1f13:0:1::4", false},
		{"2600:1f13:0:1::/64", "2600:1f13:0:1:ffff:ffff:ffff:ffff", true},
		{"2600:1f13::/44", "2600:1f13:f:ffff:ffff:ffff:ffff:ffff", true},
	} {
		if got := Reserved(netip.MustParseAddr(tc.addr), netip.MustParsePrefix(tc.subnet)); got != tc.want {
			t.Errorf("Reserved(%s, %s) = %v, want %v", tc.addr, tc.subnet, got, tc.want)
		}
	}
}

func TestZoneIDsFollowAWSsForm(t *testing.T) {
	for _, tc := range [][3]string{
		{"us-west-2", "us-west-2a", "usw2-az1"},
		{"ap-southeast-1", "ap-southeast-1c", "apse1-az3"},
		{"eu-central-1", "eu-central-1b", "euc1-az2"},
		{"us-west-2", "us-west-2-lax-1a", "us-west-2-lax-1a"},
	} {
		if got := ZoneID(tc[0], tc[1]); got != tc[2] {
			t.Errorf("ZoneID(%s, %s) = %s, want %s", tc[0], tc[1], got, tc[2])
		}
	}
}

// FuzzLoad looks for panics, and for files that Load accepts and Check refuses.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../testdata/two-workers.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add(base)
	f.Add("instances: [{enis: [{ipv4Prefixes: [::/0]}]}]")
	f.Add("settings: {a: {1: 2}}")
	f.Fuzz(func(t *testing.T, text string) {
		top, err := Load(strings.NewReader(text))
		if err != nil {
			return
		}
		if err := Check(top); err != nil {
			t.Errorf("Check refuses what Load accepted: %v", err)
		}
	})
}
