package vpcsim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

func TestDescribeNetworkInterfacesFilters(t *testing.T) {
	r := startWith(t, load(t, twoWorkersText(t)+`
enis: [{id: eni-spare, subnet: subnet-multus-a, primary: 10.10.1.13, description: "spare one", groups: [sg-1], tags: {Name: spare}}]
`), withDefaults())
	for _, c := range []call{assign(one, "10.10.1.80"), assign6(two, "2600:1f13:0:1::80")} {
		if err := c(t.Context(), r.ec2); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"eni-w1-eth0", one, "eni-w2-eth0", two, "eni-spare"}
	for _, tc := range []struct {
		name    string
		filters []types.Filter
		want    []string
	}{
		{"no filter passes all", nil, all},
		{"a secondary is found by addresses.private-ip-address", []types.Filter{filter("addresses.private-ip-address", "10.10.1.80")}, []string{one}},
		{"and so is a primary", []types.Filter{filter("addresses.private-ip-address", "10.10.1.12")}, []string{two}},
		{"private-ip-address finds a primary", []types.Filter{filter("private-ip-address", "10.10.1.11")}, []string{one}},
		{"private-ip-address finds no secondary", []types.Filter{filter("private-ip-address", "10.10.1.80")}, nil},
		{"an IPv6 address is found in whatever form", []types.Filter{filter("ipv6-addresses.ipv6-address", "2600:1F13:0:1:0::80")}, []string{two}},
		{"a MAC address", []types.Filter{filter("mac-address", "02:00:00:00:02:01")}, []string{two}},
		{"an instance", []types.Filter{filter("attachment.instance-id", "i-worker1")}, []string{"eni-w1-eth0", one}},
		{"several filters must all pass", []types.Filter{filter("attachment.instance-id", "i-worker1"), filter("attachment.device-index", "1")}, []string{one}},
		{"several values pass one by one", []types.Filter{filter("mac-address", "02:00:00:00:02:01", "02:00:00:00:01:01")}, []string{one, two}},
		{"attached ENIs", []types.Filter{filter("attachment.status", "attached"), filter("subnet-id", "subnet-multus-a")}, []string{one, two}},
		{"ENIs that are not in use", []types.Filter{filter("status", "available")}, []string{"eni-spare"}},
		{"a zone", []types.Filter{filter("availability-zone", "us-west-2a"), filter("subnet-id", "subnet-mgmt-a")}, []string{"eni-w1-eth0", "eni-w2-eth0"}},
		{"a VPC that is another", []types.Filter{filter("vpc-id", "vpc-2")}, nil},
		{"an ENI's id", []types.Filter{filter("network-interface-id", one)}, []string{one}},
		{"a tag's value", []types.Filter{filter("tag:node.k8s.amazonaws.com/no_manage", "true")}, []string{one, two}},
		{"a tag's key", []types.Filter{filter("tag-key", "Name")}, []string{"eni-spare"}},
		{"a description by wildcard", []types.Filter{filter("description", "spare*")}, []string{"eni-spare"}},
		{"a security group", []types.Filter{filter("group-id", "sg-1")}, []string{"eni-spare"}},
		{"wildcards in addresses", []types.Filter{filter("addresses.private-ip-address", "10.10.12.1?")}, []string{"eni-w1-eth0", "eni-w2-eth0"}},
		{"ENIs with secondaries", []types.Filter{filter("addresses.primary", "false")}, []string{one}},
		{"a filter without values passes nothing", []types.Filter{filter("vpc-id")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := r.ec2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{Filters: tc.filters})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, eniIDs(out.NetworkInterfaces)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	set(`{"privateIPFilterMatchesSecondaries":true}`)(r)
	out, err := r.ec2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{
		Filters: []types.Filter{filter("private-ip-address", "10.10.1.80")},
	})
	if err != nil || !slices.Equal(eniIDs(out.NetworkInterfaces), []string{one}) {
		t.Errorf("private-ip-address as documented: %v", err)
	}
}

func eniIDs(list []types.NetworkInterface) []string {
	var ids []string
	for _, e := range list {
		ids = append(ids, *e.NetworkInterfaceId)
	}
	return ids
}

func TestDescribeRefuses(t *testing.T) {
	r := start(t)
	describe := func(in ec2.DescribeNetworkInterfacesInput) error {
		_, err := r.ec2.DescribeNetworkInterfaces(t.Context(), &in)
		return err
	}
	for _, tc := range []struct {
		name string
		set  string
		in   ec2.DescribeNetworkInterfacesInput
		want refusal
	}{
		{name: "a filter that EC2 does not have", in: ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{filter("colour", "red")}},
			want: value("The filter 'colour' is invalid")},
		{name: "MaxResults together with ids", in: ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{one}, MaxResults: aws.Int32(5)},
			want: refusal{400, "InvalidParameterCombination", "The parameter NetworkInterfaceIds cannot be used with the parameter MaxResults"}},
		{name: "MaxResults below 5", in: ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(4)},
			want: value("Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than or equal to 5.")},
		{name: "MaxResults above 1000", in: ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(1001)},
			want: value("Value ( 1001 ) for parameter maxResults is invalid. Expecting a value less than or equal to 1000.")},
		{name: "a token that EC2 did not issue", in: ec2.DescribeNetworkInterfacesInput{NextToken: aws.String("e30=")},
			want: value("Value ( e30= ) for parameter NextToken is invalid. The token is invalid.")},
		{name: "an id that does not exist among ids that do", in: ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{one, "eni-gone"}},
			want: refusal{400, "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-gone' does not exist"}},
		{name: "more than 200 filter values", in: ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{filter("mac-address", make([]string, 201)...)}},
			want: refusal{400, "FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200"}},
		{name: "a dry run", in: ec2.DescribeNetworkInterfacesInput{DryRun: aws.Bool(true)},
			want: refusal{412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."}},
		{name: "everything at once in a big account", set: `{"unpaginatedLimit":3}`,
			want: refusal{400, "OperationNotPermitted", "Unpaginated calls are not permitted for this account. Use MaxResults."}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.set != "" {
				set(tc.set)(r)
			}
			if got := refusalOf(describe(tc.in)); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// manyENIs is a topology with n ENIs in one subnet.
func manyENIs(n int) string {
	var b strings.Builder
	b.WriteString("region: us-west-2\nvpc: {id: vpc-1, cidr: 10.10.0.0/16}\nsubnets:\n- {id: subnet-a, cidr: 10.10.0.0/20, zone: us-west-2a}\nenis:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {id: eni-%04d, subnet: subnet-a, primary: 10.10.%d.%d}\n", i, 1+i/200, 10+i%200)
	}
	return b.String()
}

func TestPages(t *testing.T) {
	for _, tc := range []struct {
		name   string
		enis   int
		set    string
		max    *int32
		filter []types.Filter
		want   []int
	}{
		{name: "pages are shorter than MaxResults, as EC2's were", enis: 6, max: aws.Int32(5), want: []int{1, 1, 2, 2}},
		{name: "full pages are a setting", enis: 12, set: `{"shortPages":false}`, max: aws.Int32(5), want: []int{5, 5, 2}},
		{name: "the last page may be full and still has no token", enis: 10, set: `{"shortPages":false}`, max: aws.Int32(5), want: []int{5, 5}},
		{name: "without MaxResults a page holds 1000", enis: 1001, want: []int{1000, 1}},
		{name: "filters apply before paging", enis: 30, set: `{"shortPages":false}`, max: aws.Int32(5), filter: []types.Filter{filter("network-interface-id", "eni-000*")}, want: []int{5, 5}},
		{name: "nothing is one page", enis: 0, want: []int{0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startWith(t, load(t, manyENIs(tc.enis)), withDefaults())
			if tc.set != "" {
				set(tc.set)(r)
			}
			var got []int
			seen := map[string]bool{}
			pages := ec2.NewDescribeNetworkInterfacesPaginator(r.ec2, &ec2.DescribeNetworkInterfacesInput{MaxResults: tc.max, Filters: tc.filter})
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, len(page.NetworkInterfaces))
				for _, id := range eniIDs(page.NetworkInterfaces) {
					if seen[id] {
						t.Errorf("%s came twice", id)
					}
					seen[id] = true
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// EC2 answers such a request with an empty page
// and a token.
func TestATokenIsNotBoundToItsFilter(t *testing.T) {
	r := startWith(t, load(t, manyENIs(10)), withDefaults())
	set(`{"shortPages":false}`)(r)
	in := &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(5)}
	first, err := r.ec2.DescribeNetworkInterfaces(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	in.NextToken, in.Filters = first.NextToken, []types.Filter{filter("vpc-id", "vpc-1")}
	second, err := r.ec2.DescribeNetworkInterfaces(t.Context(), in)
	if err != nil || len(second.NetworkInterfaces) > 0 || aws.ToString(second.NextToken) == "" {
		t.Fatalf("with another filter: %d ENIs, token %q, %v; want an empty page with a token",
			len(second.NetworkInterfaces), aws.ToString(second.NextToken), err)
	}
	in.NextToken = second.NextToken
	third, err := r.ec2.DescribeNetworkInterfaces(t.Context(), in)
	if err != nil || len(third.NetworkInterfaces) != 5 || third.NextToken != nil {
		t.Errorf("the page after it: %v, %v; want the rest", eniIDs(third.NetworkInterfaces), err)
	}
	_, err = r.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{MaxResults: aws.Int32(5), NextToken: first.NextToken})
	if got := refusalOf(err); got.Code != "InvalidParameterValue" || !strings.HasSuffix(got.Message, "for parameter NextToken is invalid. The token is invalid.") {
		t.Errorf("a token of another action: %+v", got)
	}
}

func TestEmptyPages(t *testing.T) {
	for _, tc := range []struct {
		name string
		max  *int32
		want []int
	}{
		{"with MaxResults", aws.Int32(5), []int{0, 5, 0, 5, 0, 2, 0}},
		{"without", nil, []int{0, 12, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startWith(t, load(t, manyENIs(12)), withDefaults())
			set(`{"shortPages":false,"emptyPages":true}`)(r)
			in := &ec2.DescribeNetworkInterfacesInput{MaxResults: tc.max}
			var got []int
			for range 20 {
				out, err := r.ec2.DescribeNetworkInterfaces(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, len(out.NetworkInterfaces))
				if in.NextToken = out.NextToken; in.NextToken == nil {
					break
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("pages (-want +got)\n%s", diff)
			}
			out, err := r.ec2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{"eni-0003"}})
			if err != nil || len(out.NetworkInterfaces) != 1 || out.NextToken != nil {
				t.Errorf("by id: %v, %v; want no pages", out, err)
			}
		})
	}
}

func TestRandomOrder(t *testing.T) {
	r := startWith(t, load(t, manyENIs(40)), withDefaults())
	list := func() []string {
		var ids []string
		pages := ec2.NewDescribeNetworkInterfacesPaginator(r.ec2, &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(7)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, eniIDs(page.NetworkInterfaces)...)
		}
		return ids
	}
	created := list()
	set(`{"order":"random"}`)(r)
	first, second := list(), list()
	if slices.Equal(created, first) || slices.Equal(first, second) {
		t.Error("the order does not change")
	}
	for _, ids := range [][]string{first, second} {
		slices.Sort(ids)
		if diff := cmp.Diff(created, ids); diff != "" {
			t.Errorf("all pages together (-want +got)\n%s", diff)
		}
	}
}

func TestDescribeInstances(t *testing.T) {
	r := start(t)
	if err := assign(one, "10.10.1.80")(t.Context(), r.ec2); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		in   ec2.DescribeInstancesInput
		want []string
	}{
		{"all instances", ec2.DescribeInstancesInput{}, []string{"i-worker1", "i-worker2"}},
		{"by id", ec2.DescribeInstancesInput{InstanceIds: []string{"i-worker2"}}, []string{"i-worker2"}},
		{"by id as filter", ec2.DescribeInstancesInput{Filters: []types.Filter{filter("instance-id", "i-worker2")}}, []string{"i-worker2"}},
		{"by the name that a node has", ec2.DescribeInstancesInput{Filters: []types.Filter{filter("private-dns-name", "ip-10-10-12-11.us-west-2.compute.internal")}}, []string{"i-worker1"}},
		{"by primary address", ec2.DescribeInstancesInput{Filters: []types.Filter{filter("private-ip-address", "10.10.12.12")}}, []string{"i-worker2"}},
		{"by an address of any ENI", ec2.DescribeInstancesInput{Filters: []types.Filter{filter("network-interface.addresses.private-ip-address", "10.10.1.80")}}, []string{"i-worker1"}},
		{"by ENI", ec2.DescribeInstancesInput{Filters: []types.Filter{filter("network-interface.network-interface-id", two)}}, []string{"i-worker2"}},
		{"by a tag that none has", ec2.DescribeInstancesInput{Filters: []types.Filter{filter("tag:Name", "x")}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := r.ec2.DescribeInstances(t.Context(), &tc.in)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, res := range out.Reservations {
				for _, in := range res.Instances {
					got = append(got, *in.InstanceId)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	out, err := r.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"i-worker1"}})
	if err != nil {
		t.Fatal(err)
	}
	e := out.Reservations[0].Instances[0].NetworkInterfaces[1]
	if *e.NetworkInterfaceId != one || *e.Attachment.DeviceIndex != 1 || len(e.PrivateIpAddresses) != 2 || *e.PrivateIpAddresses[1].PrivateIpAddress != "10.10.1.80" {
		t.Errorf("nested ENI %+v", e)
	}
	_, err = r.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"i-gone"}})
	if got := code(err); got != "InvalidInstanceID.NotFound" {
		t.Errorf("got %s", got)
	}
}

func TestDescribeSubnetsCountsFreeAddresses(t *testing.T) {
	r := start(t)
	available := func() int32 {
		out, err := r.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter("cidr-block", "10.10.1.0/24")}})
		if err != nil {
			t.Fatal(err)
		}
		return *out.Subnets[0].AvailableIpAddressCount
	}
	for _, step := range []struct {
		name string
		do   call
		want int32
	}{
		{"256 addresses without 5 of AWS and 2 primaries", assign(one, "10.10.1.11"), 249},
		{"one is assigned", assign(one, "10.10.1.80"), 248},
		{"moving it changes nothing", take(two, "10.10.1.80"), 248},
		{"unassigning gives it back", unassign(two, "10.10.1.80"), 249},
		{"a delegated prefix takes 16", assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: aws.String(one), Ipv4PrefixCount: aws.Int32(1)}), 233},
	} {
		_ = step.do(t.Context(), r.ec2) // the first one is refused on purpose
		if got := available(); got != step.want {
			t.Errorf("%s: %d free, want %d", step.name, got, step.want)
		}
	}
	addPrefixReservation(r)
	if got := available(); got != 233-32 {
		t.Errorf("a prefix reservation of 32 leaves %d, want %d", got, 233-32)
	}
	set(`{"prefixReservationCountsAsUsed":false}`)(r)
	if got := available(); got != 233 {
		t.Errorf("without that rule %d are free, want 233", got)
	}
}

func TestDescribeInstanceTypes(t *testing.T) {
	r := start(t)
	out, err := r.ec2.DescribeInstanceTypes(t.Context(), &ec2.DescribeInstanceTypesInput{
		InstanceTypes: []types.InstanceType{"m5.large", "t3.nano", "c5n.18xlarge"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][3]int32{}
	for _, it := range out.InstanceTypes {
		n := it.NetworkInfo
		got[string(it.InstanceType)] = [3]int32{*n.MaximumNetworkInterfaces, *n.Ipv4AddressesPerInterface, *n.Ipv6AddressesPerInterface}
	}
	want := map[string][3]int32{"m5.large": {3, 10, 10}, "t3.nano": {2, 2, 2}, "c5n.18xlarge": {15, 50, 50}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	_, err = r.ec2.DescribeInstanceTypes(t.Context(), &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{"x9.huge"}})
	if got := refusalOf(err); got != (refusal{400, "InvalidInstanceType", "The following supplied instance types do not exist: [x9.huge]"}) {
		t.Errorf("got %+v", got)
	}
	count := 0
	pages := ec2.NewDescribeInstanceTypesPaginator(r.ec2, &ec2.DescribeInstanceTypesInput{Filters: []types.Filter{filter("instance-type", "m5.*")}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count += len(page.InstanceTypes)
	}
	if count < 8 {
		t.Errorf("%d types m5.*", count)
	}
}
