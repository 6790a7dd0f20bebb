package nad_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// reservation is one as the tests write it.
func reservation(cidr string, t nad.ReservationType, subnet, subnetCIDR string) nad.Reservation {
	r := nad.Reservation{CIDR: netip.MustParsePrefix(cidr), Type: t, SubnetID: subnet}
	if subnetCIDR != "" {
		r.SubnetCIDR = netip.MustParsePrefix(subnetCIDR)
	}
	return r
}

// vpc has two subnets, a and b.
var vpc = []nad.Reservation{
	reservation("10.10.1.0/28", nad.Explicit, "subnet-a", "10.10.1.0/24"),
	reservation("10.10.1.32/28", nad.Prefix, "subnet-a", "10.10.1.0/24"),
	reservation("10.10.1.64/27", nad.Explicit, "subnet-a", "10.10.1.0/24"),
	reservation("10.10.1.96/27", nad.Explicit, "subnet-a", "10.10.1.0/24"),
	reservation("10.10.1.240/28", nad.Explicit, "subnet-a", "10.10.1.0/24"),
	reservation("2600:1f13:0:1:8000::/65", nad.Explicit, "subnet-a", "2600:1f13:0:1::/64"),
	reservation("10.10.2.64/26", nad.Explicit, "subnet-b", "10.10.2.0/24"),
}

// cidrs are what the command line knows without a cluster.
var cidrs = []nad.Reservation{reservation("10.10.1.64/26", nad.Explicit, "", "")}

// checked is the report on a NAD.
func checked(t testing.TB, c nad.Checker, d nad.Definition) nad.Report {
	t.Helper()
	report, err := c.NAD(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

const reserve = "aws ec2 create-subnet-cidr-reservation --subnet-id "

func TestNADsAreCheckedAgainstReservations(t *testing.T) {
	for _, c := range []struct {
		name, config string
		known        []nad.Reservation
		findings     []string
		message      string // part of the first finding's
	}{
		{"inside of one reservation", with(`"range":"10.10.1.70-10.10.1.79/24"`), vpc, nil, ""},
		{"across two reservations that touch", with(`"range":"10.10.1.70-10.10.1.120/24"`), vpc, nil, ""},
		{"IPv6 inside of one reservation", with(`"range":"2600:1f13:0:1:8000::10-2600:1f13:0:1:8000::20/64"`), vpc, nil, ""},
		{"what is excluded need not be reserved", with(`"range":"10.10.1.120-10.10.1.135/24","exclude":["10.10.1.128/29"]`), vpc, nil, ""},
		{"only CIDRs are known", with(`"range":"10.10.1.64/26"`), cidrs, nil, ""},
		{"only CIDRs are known and the range is outside", with(`"range":"10.10.1.128/26"`), cidrs, []string{"not-reserved spec.config.ipam.range"},
			"covers 10.10.1.129-10.10.1.190, so EC2 may give it to another interface; reserve it: " + reserve + "<subnet-id> --cidr 10.10.1.128/26 --reservation-type explicit"},
		{"the end sticks out", with(`"range":"10.10.1.120-10.10.1.130/24"`), vpc, []string{"not-reserved spec.config.ipam.range"},
			"covers 10.10.1.128-10.10.1.130 (of 10.10.1.120-10.10.1.130), so EC2 may give it to another interface; reserve it: " +
				reserve + "subnet-a --cidr 10.10.1.128/31 --reservation-type explicit && " + reserve + "subnet-a --cidr 10.10.1.130/32 --reservation-type explicit"},
		{"the middle is missing", with(`"range":"10.10.1.80-10.10.1.239/24","exclude":["10.10.1.128/25"]`), vpc, nil, ""},
		{"no subnet is known there", with(`"range":"10.10.9.64/26"`), vpc, []string{"not-reserved spec.config.ipam.range"},
			"--subnet-id <subnet-id> --cidr 10.10.9.64/26 --reservation-type explicit; is the range right? It is not in any known subnet: subnet-a (10.10.1.0/24), subnet-a (2600:1f13:0:1::/64), subnet-b (10.10.2.0/24)"},
		{"a whole IPv6 network", with(`"range":"2600:1f13:0:1::/80"`), vpc, []string{"aws-reserved spec.config.ipam.range", "not-reserved spec.config.ipam.range", "prefix-length spec.config.ipam.range"}, "2600:1f13:0:1::1-2600:1f13:0:1::3 is reserved by AWS"},
		{"the first addresses of the subnet", with(`"range":"10.10.1.1-10.10.1.8/24"`), vpc, []string{"aws-reserved spec.config.ipam.range"},
			`10.10.1.1-10.10.1.3 is reserved by AWS, like the first four addresses and the last one of every subnet (subnet-a (10.10.1.0/24)), and EC2 refuses to assign it; leave it out: "exclude": ["10.10.1.1/32", "10.10.1.2/31"]`},
		{"the last address of the subnet", local(`"subnet":"10.10.1.0/24","rangeStart":"10.10.1.250","rangeEnd":"10.10.1.255"`), vpc, []string{"host-local-shared spec.config.ipam.type", "aws-reserved spec.config.ipam.subnet"}, "host-local stores"},
		{"the last usable address of the subnet", with(`"range":"10.10.1.250-10.10.1.254/24"`), vpc, nil, ""},
		{"a prefix reservation", with(`"range":"10.10.1.40-10.10.1.47/24"`), vpc, []string{"prefix-reservation spec.config.ipam.range"}, "10.10.1.40-10.10.1.47 is in the reservation 10.10.1.32/28 of subnet-a, of type prefix"},
		{"a prefix reservation and beyond", with(`"range":"10.10.1.46-10.10.1.49/24"`), vpc, []string{"prefix-reservation spec.config.ipam.range", "not-reserved spec.config.ipam.range"}, ""},
		{"another prefix length", with(`"range":"10.10.1.64/26"`), vpc, []string{"prefix-length spec.config.ipam.range"}, `write "range": "10.10.1.65-10.10.1.126/24"`},
		{"another prefix length of host-local", local(`"subnet":"10.10.1.64/26"`), vpc, []string{"host-local-shared spec.config.ipam.type", "prefix-length spec.config.ipam.subnet"}, ""},
		{"another gateway", with(`"range":"10.10.1.70-10.10.1.79/24","gateway":"10.10.1.65"`), vpc, []string{"gateway spec.config.ipam.gateway"}, "the VPC routes at 10.10.1.1 only"},
		{"the subnet's router", with(`"range":"10.10.1.70-10.10.1.79/24","gateway":"10.10.1.1"`), vpc, nil, ""},
		{"the router's link-local address", ipvlan(`{"type":"static","addresses":[{"address":"2600:1f13:0:1:8000::90/64","gateway":"fe80:ec2::1"}]}`), vpc, nil, ""},
		{"another gateway of one address", ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.90/24","gateway":"10.10.1.254"}]}`), vpc, []string{"gateway spec.config.ipam.addresses[0].gateway"}, ""},
		{"two subnets in one range", with(`"range":"10.10.1.240-10.10.2.100/16"`), vpc, []string{"aws-reserved spec.config.ipam.range", "aws-reserved spec.config.ipam.range", "not-reserved spec.config.ipam.range", "prefix-length spec.config.ipam.range", "two-subnets spec.config.ipam.range"}, ""},
		{"two subnets in two ranges", with(`"ipRanges":[{"range":"10.10.1.70-10.10.1.79/24"},{"range":"10.10.2.70-10.10.2.79/24"}]`), vpc, []string{"two-subnets spec.config.ipam.ipRanges[1].range"}, "the addresses are in two subnets, subnet-a (10.10.1.0/24) and subnet-b (10.10.2.0/24)"},
		{"both families of one subnet", with(`"ipRanges":[{"range":"10.10.1.70-10.10.1.79/24"},{"range":"2600:1f13:0:1:8000::10-2600:1f13:0:1:8000::20/64"}]`), vpc, nil, ""},
		{"slices with the first addresses of the subnet", sliced("10.10.1.0/28", "/30", `,"network_name":"n"`), vpc, []string{"aws-reserved spec.config.ipam.range", "prefix-length spec.config.ipam.range"},
			"choose a range without it: with node_slice_size whereabouts ignores exclude and bounds"},
		{"slices with another prefix length", sliced("10.10.1.64/26", "/28", `,"network_name":"n"`), vpc, []string{"prefix-length spec.config.ipam.range"},
			`remove node_slice_size and write "range": "10.10.1.65-10.10.1.126/24"`},
		{"macvlan", `{"type":"macvlan","master":"eth1","mode":"bridge","ipam":{"type":"whereabouts","range":"10.10.1.70-10.10.1.79/24"}}`, vpc, []string{"macvlan spec.config.type"}, ""},
		{"macvlan that keeps the ENI's MAC", `{"type":"macvlan","master":"eth1","mode":"passthru","ipam":{"type":"whereabouts","range":"10.10.1.70-10.10.1.79/24"}}`, vpc, nil, ""},
		{"macvlan in a list", `{"plugins":[{"type":"macvlan","master":"eth1"}]}`, vpc, []string{"macvlan spec.config.plugins[0].type"}, ""},
		{"nothing is known", with(`"range":"10.10.1.64/26"`), nil, []string{"no-reservation spec.config"}, "no subnet CIDR reservation is known"},
		{"nothing is known and nothing is handed out", `{"type":"ipvlan","master":"eth1"}`, nil, nil, ""},
		{"malformed and outside", with(`"range":"10.10.1.64/33","ipRanges":[{"range":"10.10.1.130-10.10.1.130/24"}]`), vpc, []string{"ipam-malformed spec.config.ipam.range", "not-reserved spec.config.ipam.ipRanges[0].range"}, "whereabouts refuses this"},
		{"no commands without end", with(`"range":"2600:1f13:0:1::10-2600:1f13:0:1:8000::/64"`), vpc, []string{"not-reserved spec.config.ipam.range"}, "more; ranges that begin and end at powers of two need fewer)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := checked(t, nad.NewChecker(c.known, nil), nad.Definition{Namespace: "ns", Name: "net", Config: c.config})
			if diff := cmp.Diff(c.findings, places(report.Findings)); diff != "" {
				t.Fatalf("findings (-want +got):\n%s\n%v", diff, report.Findings)
			}
			if c.message != "" && !strings.Contains(report.Findings[0].Message, c.message) {
				t.Errorf("message %q lacks %q", report.Findings[0].Message, c.message)
			}
			wantFailed := slices.ContainsFunc(report.Findings, func(f nad.Finding) bool { return f.Rule.Severity() == nad.Error })
			if report.Failed() != wantFailed {
				t.Errorf("failed is %t", report.Failed())
			}
			for _, f := range report.Findings {
				if f.Object != "ns/net" || f.Severity != f.Rule.Severity() {
					t.Errorf("finding of %q with severity %q", f.Object, f.Severity)
				}
			}
		})
	}
}

func TestAReservationThatIsNoneCoversNothing(t *testing.T) {
	given := []nad.Reservation{{}, reservation("10.10.1.64/27", nad.Explicit, "subnet-a", "10.10.1.0/24")}
	for _, c := range []struct {
		name, ranges string
		known        []nad.Reservation
		want         []nad.Rule
	}{
		{"beside one that covers the range", `"range":"10.10.1.70-10.10.1.79/24"`, given, nil},
		{"beside one that does not", `"range":"10.10.1.100-10.10.1.109/24"`, given, []nad.Rule{nad.NotReserved}},
		{"alone: something is known", `"range":"10.10.1.70-10.10.1.79/24"`, given[:1], []nad.Rule{nad.NotReserved}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rules []nad.Rule
			for _, f := range checked(t, nad.NewChecker(c.known, nil), nad.Definition{Name: "a", Config: with(c.ranges)}).Findings {
				rules = append(rules, f.Rule)
			}
			if diff := cmp.Diff(c.want, rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
	if given[0].CIDR.IsValid() || !given[1].CIDR.IsValid() {
		t.Error("the caller's reservations are changed")
	}
}

func TestNADsAreComparedWithOthers(t *testing.T) {
	for _, c := range []struct {
		name, config, other string
		findings            []string
		message             string
	}{
		{"ranges apart", with(`"range":"10.10.1.70-10.10.1.79/24"`), with(`"range":"10.10.1.80-10.10.1.89/24"`), nil, ""},
		{"no network_name", with(`"range":"10.10.1.70-10.10.1.79/24"`), with(`"range":"10.10.1.75-10.10.1.89/24"`), []string{"range-overlap spec.config.ipam.range"}, "10.10.1.75-10.10.1.79 is handed out by ns/other too; whereabouts keeps them apart by itself"},
		{"the same network_name", with(`"network_name":"n","range":"10.10.1.70-10.10.1.79/24"`), with(`"network_name":"n","range":"10.10.1.75-10.10.1.89/24"`), nil, ""},
		{"different network_names", with(`"network_name":"n","range":"10.10.1.70-10.10.1.79/24"`), with(`"network_name":"m","range":"10.10.1.75-10.10.1.89/24"`), []string{"range-overlap spec.config.ipam.range"}, "network_name differs"},
		{"the same network_name, and overlapping is allowed", with(`"network_name":"n","range":"10.10.1.70-10.10.1.79/24","enable_overlapping_ranges":false`), with(`"network_name":"n","range":"10.10.1.75-10.10.1.89/24"`), []string{"range-overlap spec.config.ipam.range"}, "enable_overlapping_ranges"},
		{"two IPAM types", with(`"range":"10.10.1.70-10.10.1.79/24"`), local(`"subnet":"10.10.1.0/24","rangeStart":"10.10.1.79","rangeEnd":"10.10.1.80"`), []string{"range-overlap spec.config.ipam.range"}, "each allocates on its own"},
		{"the other is not managed", with(`"range":"10.10.1.70-10.10.1.79/24"`), `{"type":"bridge","ipam":{"type":"whereabouts","range":"10.10.1.64/26"}}`, nil, ""},
		{"the other is broken", with(`"range":"10.10.1.70-10.10.1.79/24"`), "{", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			this := nad.Definition{Namespace: "ns", Name: "net", Config: c.config}
			other := nad.Definition{Namespace: "ns", Name: "other", Config: c.other}
			got := checked(t, nad.NewChecker(vpc, nad.NewIndex(nad.Read(this), nad.Read(other))), this).Findings
			if diff := cmp.Diff(c.findings, places(got)); diff != "" {
				t.Fatalf("findings (-want +got):\n%s\n%v", diff, got)
			}
			if c.message != "" && !strings.Contains(got[0].Message, c.message) {
				t.Errorf("message %q lacks %q", got[0].Message, c.message)
			}
		})
	}
}

func TestCopiesOfANADAreOneFinding(t *testing.T) {
	var others []nad.Network
	for _, namespace := range []string{"a", "b", "c"} {
		others = append(others, nad.Read(nad.Definition{Namespace: namespace, Name: "net", Config: with(`"range":"10.10.1.70-10.10.1.79/24"`)}))
	}
	report, err := nad.NewChecker(vpc, nad.NewIndex(others...)).Network(t.Context(), others[1])
	if err != nil {
		t.Fatal(err)
	}
	got := report.Findings
	if len(got) != 1 || !strings.Contains(got[0].Message, "10.10.1.70-10.10.1.79 is handed out by a/net, c/net too") {
		t.Errorf("findings %v", got)
	}
}

func TestRangesAreReportedInTheOrderOfTheNAD(t *testing.T) {
	got := checked(t, nad.NewChecker(vpc, nil), nad.Definition{Config: with(`"ipRanges":[{"range":"10.10.1.100-10.10.1.101/24"},{"range":"10.10.1.70-10.10.1.72/24","exclude":["10.10.1.71"]}]`)})
	want := []string{"10.10.1.100-10.10.1.101", "10.10.1.70", "10.10.1.72"}
	var ranges []nad.Range
	for _, r := range got.Ranges {
		ranges = append(ranges, nad.Range{First: r.Start, Last: r.End})
	}
	if diff := cmp.Diff(want, texts(ranges)); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

func TestAddressesOfPodsAreChecked(t *testing.T) {
	nads := map[string]string{
		"fixed":   `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}}`,
		"old":     `{"type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}}`,
		"pinned":  `{"type":"ipvlan","master":"eth1","runtimeConfig":{"ips":["10.10.1.90/24"]},"ipam":{"type":"static"}}`,
		"local":   `{"type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"host-local","ranges":[[{"subnet":"10.10.1.0/24","rangeStart":"10.10.1.241","rangeEnd":"10.10.1.244"},{"subnet":"10.10.1.0/24","rangeStart":"10.10.1.246","rangeEnd":"10.10.1.247"}],[{"subnet":"10.10.1.0/24","rangeStart":"10.10.1.250","rangeEnd":"10.10.1.251","gateway":"10.10.1.251"}]]}}`,
		"bare":    `{"type":"ipvlan","master":"eth1","capabilities":{"ips":true}}`,
		"later":   `{"type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"nv-ipam"}}`,
		"deaf":    ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.90/24"}]}`),
		"mute":    ipvlan(`{"type":"static"}`),
		"dynamic": with(`"range":"10.10.1.70-10.10.1.79/24"`),
		"bridge":  `{"type":"bridge"}`,
	}
	const field = "metadata.annotations[k8s.v1.cni.cncf.io/networks]"
	for _, c := range []struct {
		name, annotation string
		known            []nad.Reservation
		findings         []string
	}{
		{"reserved", `[{"name":"fixed","ips":["10.10.1.100/24"]}]`, vpc, nil},
		{"static refuses an address without a length", `[{"name":"fixed","ips":["10.10.1.100"]}]`, vpc, []string{"ipam-malformed " + field + "[0].ips[0]"}},
		{"a length for a single address is one", `[{"name":"fixed","ips":["10.10.1.100/32"]}]`, vpc, nil},
		{"no addresses where the network has some", `dynamic, deaf, local`, nil, nil},
		{"no addresses, and none in the network", `dynamic, fixed`, nil, []string{"range-empty " + field + "[1]"}},
		{"no addresses, none in the network, and no capability to ask", `mute`, nil, []string{"range-empty " + field + "[0]"}},
		{"an empty list is like none", `[{"name":"fixed","ips":[],"cni-args":{"ips":[]}}]`, vpc, []string{"range-empty " + field + "[0]"}},
		{"two addresses where the version has room for one", `[{"name":"old","ips":["10.10.1.100/24","10.10.1.101/24"]}]`, vpc, []string{"ipam-malformed " + field + "[0].ips"}},
		{"cni-args reach static without a capability", `[{"name":"deaf","cni-args":{"ips":["10.10.1.100/24"]}}]`, vpc, nil},
		{"cni-args are checked", `[{"name":"deaf","cni-args":{"ips":["10.10.1.200/24"]}}]`, vpc, []string{"not-reserved " + field + "[0].cni-args.ips[0]"}},
		{"cni-args without a length", `[{"name":"deaf","cni-args":{"ips":["10.10.1.100"]}}]`, vpc, []string{"ipam-malformed " + field + "[0].cni-args.ips[0]"}},
		{"cni-args that are no list", `[{"name":"deaf","cni-args":{"ips":"10.10.1.100/24"}}]`, vpc, []string{"ipam-malformed " + field + "[0].cni-args.ips"}},
		{"cni-args that are no list do not disturb whereabouts", `[{"name":"dynamic","cni-args":{"ips":7}}]`, vpc, []string{"ips-ignored " + field + "[0].cni-args.ips"}},
		{"ips go before cni-args", `[{"name":"fixed","ips":["10.10.1.100/24"],"cni-args":{"ips":["10.10.1.200/24"]}}]`, vpc, []string{"ips-ignored " + field + "[0].cni-args.ips"}},
		{"runtimeConfig of the network goes before cni-args", `[{"name":"pinned","cni-args":{"ips":["10.10.1.200/24"]}}]`, vpc, []string{"ips-ignored " + field + "[0].cni-args.ips"}},
		{"host-local takes an address of its range", `[{"name":"local","ips":["10.10.1.243"]}]`, vpc, nil},
		{"host-local takes an address of each set", `[{"name":"local","ips":["10.10.1.250/24"],"cni-args":{"ips":["10.10.1.246"]}}]`, vpc, nil},
		{"host-local takes an address once", `[{"name":"local","ips":["10.10.1.243","10.10.1.243/24"]}]`, vpc, nil},
		{"outside of host-local's ranges", `[{"name":"local","ips":["10.10.1.245/24"]}]`, vpc, []string{"ipam-malformed " + field + "[0].ips[0]"}},
		{"cni-args outside of host-local's ranges", `[{"name":"local","cni-args":{"ips":["10.10.1.245/24"]}}]`, vpc, []string{"ipam-malformed " + field + "[0].cni-args.ips[0]"}},
		{"two addresses of one set of host-local", `[{"name":"local","ips":["10.10.1.243","10.10.1.246"]}]`, vpc, []string{"ipam-malformed " + field + "[0].ips[1]"}},
		{"host-local's gateway", `[{"name":"local","ips":["10.10.1.251"]}]`, vpc, []string{"ipam-malformed " + field + "[0].ips[0]"}},
		{"cni-args that are no list to host-local", `[{"name":"local","cni-args":{"ips":{}}}]`, vpc, []string{"ipam-malformed " + field + "[0].cni-args.ips"}},
		{"a network without IPAM", `[{"name":"bare","ips":["10.10.1.100/24"]}]`, vpc, []string{"ips-ignored " + field + "[0].ips"}},
		{"an IPAM that we do not know may obey", `[{"name":"later","ips":["10.10.1.200/24"]}]`, vpc, []string{"not-reserved " + field + "[0].ips[0]"}},
		{"not reserved", `[{"name":"fixed","ips":["10.10.1.100/24","10.10.1.200/24"]}]`, vpc, []string{"not-reserved " + field + "[0].ips[1]"}},
		{"reserved by AWS", `[{"name":"dynamic"},{"name":"fixed","ips":["10.10.1.255/24"]}]`, vpc, []string{"aws-reserved " + field + "[1].ips[0]"}},
		{"in a prefix reservation", `[{"name":"fixed","ips":["10.10.1.33/24"]}]`, vpc, []string{"prefix-reservation " + field + "[0].ips[0]"}},
		{"another prefix length", `[{"name":"fixed","ips":["10.10.1.100/26"]}]`, vpc, []string{"prefix-length " + field + "[0].ips[0]"}},
		{"in the range of another NAD", `[{"name":"fixed","ips":["10.10.1.75/24"]}]`, vpc, []string{"range-overlap " + field + "[0].ips[0]"}},
		{"in the range of its own NAD", `[{"name":"dynamic","ips":["10.10.1.75/24"]}]`, vpc, []string{"ips-ignored " + field + "[0].ips"}},
		{"Multus does not pass it on", `[{"name":"deaf","ips":["10.10.1.100/24"]}]`, vpc, []string{"ips-ignored " + field + "[0].ips"}},
		{"what Multus does not pass on reaches nobody", `[{"name":"deaf","ips":["10.10.1.200/24"]}]`, vpc, []string{"ips-ignored " + field + "[0].ips"}},
		{"whereabouts ignores it", `[{"name":"dynamic","ips":["10.10.1.100/24"]}]`, vpc, []string{"ips-ignored " + field + "[0].ips"}},
		{"what whereabouts ignores need not be reserved", `[{"name":"dynamic","ips":["10.10.1.200/24"]}]`, vpc, []string{"ips-ignored " + field + "[0].ips"}},
		{"a network that does not exist", `[{"name":"missing","ips":["10.10.1.200/24"]}]`, vpc, []string{"not-reserved " + field + "[0].ips[0]"}},
		{"a network that is not managed", `[{"name":"bridge","ips":["10.10.1.200/24"]}]`, vpc, nil},
		{"nothing is known", `[{"name":"fixed","ips":["10.10.1.200/24"]}]`, nil, []string{"no-reservation " + field + "[0].ips"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			networks := map[string]nad.Network{}
			var others []nad.Network
			for name, config := range nads {
				network := nad.Read(nad.Definition{Namespace: "ns", Name: name, Config: config})
				networks["ns/"+name] = network
				others = append(others, network)
			}
			selections, err := nad.Selections("ns", c.annotation)
			if err != nil {
				t.Fatal(err)
			}
			find := func(namespace, name string) (nad.Network, bool) {
				network, found := networks[namespace+"/"+name]
				return network, found
			}
			got, err := nad.NewChecker(c.known, nad.NewIndex(others...)).Pod(t.Context(), "ns/pod", selections, find)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.findings, places(got)); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%v", diff, got)
			}
		})
	}
}

// The plugin's own words would leave a user to guess the length.
func TestAnAddressWithoutALengthIsToldTheOneToWrite(t *testing.T) {
	network := nad.Read(nad.Definition{Namespace: "ns", Name: "fixed", Config: `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}}`})
	selections, err := nad.Selections("ns", `[{"name":"fixed","ips":["10.10.1.100"]}]`)
	if err != nil {
		t.Fatal(err)
	}
	found, err := nad.NewChecker(vpc, nil).Pod(t.Context(), "ns/pod", selections, func(string, string) (nad.Network, bool) { return network, true })
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Message, "write the subnet's, such as 10.10.1.100/24") {
		t.Errorf("findings %v, error %v", found, err)
	}
}

func TestAddressesOfOtherNamespacesAreRefused(t *testing.T) {
	fixed := nad.Read(nad.Definition{Namespace: "b", Name: "fixed", Config: `{"cniVersion":"0.3.1","type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}}`})
	ranged := func(namespace string) nad.Network {
		return nad.Read(nad.Definition{Namespace: namespace, Name: "dynamic", Config: with(`"range":"10.10.1.70-10.10.1.79/24"`)})
	}
	static := nad.Read(nad.Definition{Namespace: "a", Name: "static", Config: ipvlan(`{"type":"static","addresses":[{"address":"10.10.1.75/24"}]}`)})
	for _, c := range []struct {
		name   string
		others []nad.Network
		allow  bool
		want   []nad.Rule
	}{
		{"in its own namespace", []nad.Network{fixed, ranged("b")}, false, []nad.Rule{nad.RangeOverlap}},
		{"in another namespace", []nad.Network{fixed, ranged("a")}, false, []nad.Rule{nad.ForeignRange}},
		{"in namespaces whose names begin alike", []nad.Network{fixed, ranged("b-2"), ranged("b0")}, false, []nad.Rule{nad.ForeignRange}},
		{"in a namespace before and one behind", []nad.Network{ranged("a"), ranged("b"), ranged("c"), fixed}, false, []nad.Rule{nad.ForeignRange, nad.RangeOverlap}},
		{"where the installation lets them", []nad.Network{fixed, ranged("a")}, true, []nad.Rule{nad.RangeOverlap}},
		{"a static address elsewhere is floating", []nad.Network{fixed, static}, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			checker := nad.NewChecker(vpc, nad.NewIndex(c.others...))
			if c.allow {
				checker = checker.AllowForeign()
			}
			selections, err := nad.Selections("b", `[{"name":"fixed","ips":["10.10.1.75/24"]}]`)
			if err != nil {
				t.Fatal(err)
			}
			found, err := checker.Pod(t.Context(), "b/pod", selections, func(string, string) (nad.Network, bool) { return fixed, true })
			if err != nil {
				t.Fatal(err)
			}
			var rules []nad.Rule
			for _, f := range found {
				rules = append(rules, f.Rule)
			}
			if diff := cmp.Diff(c.want, rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s\n%v", diff, found)
			}
		})
	}
}

func TestReservationsCoverRanges(t *testing.T) {
	ranges := []nad.Range{{First: netip.MustParseAddr("10.10.1.90"), Last: netip.MustParseAddr("10.10.1.100")}}
	covering, all := nad.Covering(ranges, vpc)
	if len(covering) != 2 || !all {
		t.Errorf("%d reservations cover %v, all %t; want two and all", len(covering), ranges, all)
	}
	ranges[0].Last = netip.MustParseAddr("10.10.1.128")
	if covering, all = nad.Covering(ranges, vpc); len(covering) != 2 || all {
		t.Errorf("%d reservations cover %v, all %t; want two and not all", len(covering), ranges, all)
	}
}
