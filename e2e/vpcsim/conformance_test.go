package vpcsim_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// The ENIs of testdata/two-workers.yaml in the Multus subnet 10.10.1.0/24.
const (
	one = "eni-w1-eth1" // primary 10.10.1.11
	two = "eni-w2-eth1" // primary 10.10.1.12
)

// call is one EC2 call through AWS's client.
type call func(context.Context, *ec2.Client) error

func assign(eni string, addrs ...string) call {
	return assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &eni, PrivateIpAddresses: addrs})
}

func take(eni string, addrs ...string) call {
	return assignInput(ec2.AssignPrivateIpAddressesInput{
		NetworkInterfaceId: &eni, PrivateIpAddresses: addrs, AllowReassignment: aws.Bool(true),
	})
}

func assignCount(eni string, n int32, addrs ...string) call {
	return assignInput(ec2.AssignPrivateIpAddressesInput{
		NetworkInterfaceId: &eni, PrivateIpAddresses: addrs, SecondaryPrivateIpAddressCount: &n,
	})
}

func assignInput(in ec2.AssignPrivateIpAddressesInput) call {
	return func(ctx context.Context, c *ec2.Client) error {
		_, err := c.AssignPrivateIpAddresses(ctx, &in)
		return err
	}
}

func unassign(eni string, addrs ...string) call {
	return func(ctx context.Context, c *ec2.Client) error {
		_, err := c.UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{
			NetworkInterfaceId: &eni, PrivateIpAddresses: addrs,
		})
		return err
	}
}

func assign6(eni string, addrs ...string) call {
	return func(ctx context.Context, c *ec2.Client) error {
		_, err := c.AssignIpv6Addresses(ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: &eni, Ipv6Addresses: addrs})
		return err
	}
}

func unassign6(eni string, addrs ...string) call {
	return func(ctx context.Context, c *ec2.Client) error {
		_, err := c.UnassignIpv6Addresses(ctx, &ec2.UnassignIpv6AddressesInput{NetworkInterfaceId: &eni, Ipv6Addresses: addrs})
		return err
	}
}

func create(change func(*ec2.CreateNetworkInterfaceInput)) call {
	return func(ctx context.Context, c *ec2.Client) error {
		in := &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-multus-a")}
		change(in)
		_, err := c.CreateNetworkInterface(ctx, in)
		return err
	}
}

func set(patch string) func(*rig) {
	return func(r *rig) {
		if err := r.sim.Set(patch); err != nil {
			r.t.Fatal(err)
		}
	}
}

// refusal is an error as a caller of EC2 sees it.
type refusal struct {
	Status        int
	Code, Message string
}

func refusalOf(err error) refusal {
	var api smithy.APIError
	var resp *awshttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &resp) {
		return refusal{}
	}
	return refusal{resp.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage()}
}

// conformance is one row of the behaviour that was observed on AWS: what was
// there, what was asked, how EC2 answers and what is there afterwards.
type conformance struct {
	name   string
	set    func(*rig)
	before []call
	call   call
	want   refusal // the zero value is success
	// after holds the secondary and IPv6 addresses of the ENIs that have any.
	after map[string][]string
}

func value(message string) refusal { return refusal{400, "InvalidParameterValue", message} }

func TestAssignPrivateIpAddresses(t *testing.T) {
	const none = "One of privateIpAddressSet or privateIpAddressCount or ipv4PrefixSet or ipv4PrefixCount must be specified."
	const several = "You may specify one and only one of privateIpAddressSet or secondaryPrivateIpAddressCount or " +
		"ipv4Prefixes or ipv4PrefixCount, but not more than one of them."
	for _, tc := range []conformance{
		{name: "a free address of the subnet becomes a secondary",
			call: assign(one, "10.10.1.80"), after: map[string][]string{one: {"10.10.1.80"}}},
		{name: "several addresses are assigned in the order of the request, each once",
			call: assign(one, "10.10.1.82", "10.10.1.80", "10.10.1.82"), after: map[string][]string{one: {"10.10.1.82", "10.10.1.80"}}},
		{name: "an address outside all reservations may be named too",
			call: assign(one, "10.10.1.20"), after: map[string][]string{one: {"10.10.1.20"}}},
		{name: "an address that the ENI holds already is a success",
			before: []call{assign(one, "10.10.1.80")}, call: assign(one, "10.10.1.80"), after: map[string][]string{one: {"10.10.1.80"}}},
		{name: "a secondary of another ENI does not move without AllowReassignment",
			before: []call{assign(two, "10.10.1.80")}, call: assign(one, "10.10.1.80"),
			want: value("[10.10.1.80] assigned, but move is not allowed."), after: map[string][]string{two: {"10.10.1.80"}}},
		{name: "all addresses that must not move are listed, and nothing is assigned",
			before: []call{assign(two, "10.10.1.80", "10.10.1.81")}, call: assign(one, "10.10.1.80", "10.10.1.90", "10.10.1.81"),
			want: value("[10.10.1.80, 10.10.1.81] assigned, but move is not allowed."), after: map[string][]string{two: {"10.10.1.80", "10.10.1.81"}}},
		{name: "a secondary of another ENI moves with AllowReassignment",
			before: []call{assign(two, "10.10.1.80", "10.10.1.81")}, call: take(one, "10.10.1.80"),
			after: map[string][]string{one: {"10.10.1.80"}, two: {"10.10.1.81"}}},
		{name: "a primary of another ENI never moves",
			call: take(one, "10.10.1.12"), want: value("secondary-addresses")},
		{name: "one primary among good addresses fails them all",
			call: take(one, "10.10.1.80", "10.10.1.12"), want: value("secondary-addresses")},
		{name: "an address outside the ENI's subnet",
			call: assign(one, "10.10.12.80"), want: value("Address does not fall within the subnet's address range")},
		{name: "an IPv6 address is none",
			call: assign(one, "2600:1f13:0:1::80"), want: value("invalid value for parameter address: 2600:1f13:0:1::80")},
		{name: "an address that AWS reserves at the start of the subnet",
			call: assign(one, "10.10.1.2"), want: value("Address 10.10.1.2 is in subnet's reserved range.")},
		{name: "the broadcast address",
			call: assign(one, "10.10.1.255"), want: value("Address 10.10.1.255 is in subnet's reserved range.")},
		{name: "text that is not an address",
			call: assign(one, "10.10.1.256"), want: value("invalid value for parameter address: 10.10.1.256")},
		{name: "one bad address fails the good ones",
			call: assign(one, "10.10.1.80", "nonsense"), want: value("invalid value for parameter address: nonsense")},
		{name: "neither addresses nor count nor prefixes",
			call: assign(one), want: refusal{400, "InvalidParameter", none}},
		{name: "addresses and a count",
			call: assignCount(one, 1, "10.10.1.80"), want: refusal{400, "InvalidParameterCombination", several}},
		{name: "a count of 0",
			call: assignCount(one, 0), want: value("Value (0) for parameter secondaryPrivateIpAddressCount is invalid. Value must be a positive number.")},
		{name: "a negative count",
			call: assignCount(one, -1), want: value("Value (-1) for parameter secondaryPrivateIpAddressCount is invalid. Value must be a positive number.")},
		{name: "more addresses than an ENI of the type takes",
			call: assignCount(one, 15), want: refusal{400, "PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit."}},
		{name: "an ENI that does not exist",
			call: assign("eni-0123456789abcdef0", "10.10.1.80"),
			want: refusal{400, "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-0123456789abcdef0' does not exist"}},
		{name: "an id that is not an ENI's",
			call: assign("if-1", "10.10.1.80"), want: refusal{400, "InvalidNetworkInterfaceId.Malformed", `Invalid id: "if-1" (expecting "eni-...")`}},
		{name: "the ENI is looked up before the request is read",
			call: assignCount("eni-unknown", 0, "nonsense"), want: refusal{400, "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-unknown' does not exist"}},
		{name: "a combination is refused before its count is read",
			call: assignCount(one, 0, "nonsense"), want: refusal{400, "InvalidParameterCombination", several}},
		{name: "addresses are checked one by one before moves are",
			before: []call{assign(two, "10.10.1.80")}, call: assign(one, "10.10.1.80", "10.10.9.9"),
			want: value("Address does not fall within the subnet's address range"), after: map[string][]string{two: {"10.10.1.80"}}},
		{name: "a secondary of another account's ENI is in use",
			set: set(`{"crossAccountMoveCode":"InvalidIPAddress.InUse"}`), before: []call{assign("eni-foreign", "10.10.1.80")}, call: take(one, "10.10.1.80"),
			want: refusal{400, "InvalidIPAddress.InUse", "The specified address is already in use."}, after: map[string][]string{"eni-foreign": {"10.10.1.80"}}},
		{name: "an address in a prefix reservation is free to be named by default",
			call: assign(one, "10.10.1.200"), after: map[string][]string{one: {"10.10.1.200"}}},
		{name: "or refused, which is a setting",
			set: set(`{"prefixReservationRefusesExplicit":true}`), call: assign(one, "10.10.1.200"),
			want: value("Address 10.10.1.200 is in subnet's reserved range.")},
		{name: "a caller without permission",
			set: set(`{"deny":["AssignPrivateIpAddresses"]}`), call: assign(one, "10.10.1.80"),
			want: refusal{403, "UnauthorizedOperation", "You are not authorized to perform this operation. Encoded authorization failure message: c2ltdWxhdGVk"}},
		{name: "an ENI without the tag that the caller's policy demands",
			set: set(`{"requireTag":"cluster=a"}`), call: assign(one, "10.10.1.80"),
			want: refusal{403, "UnauthorizedOperation", "You are not authorized to perform this operation. Encoded authorization failure message: c2ltdWxhdGVk"}},
		{name: "an ENI with the tag that the caller's policy demands",
			set: set(`{"requireTag":"node.k8s.amazonaws.com/no_manage=true"}`), call: assign(one, "10.10.1.80"), after: map[string][]string{one: {"10.10.1.80"}}},
		{name: "the policy looks at the gaining ENI alone by default",
			before: []call{assign("eni-spare", "10.10.1.80")}, set: set(`{"requireTag":"node.k8s.amazonaws.com/no_manage"}`),
			call: take(one, "10.10.1.80"), after: map[string][]string{one: {"10.10.1.80"}}},
		{name: "or at the losing one too, which is a setting",
			before: []call{assign("eni-spare", "10.10.1.80")},
			set:    set(`{"requireTag":"node.k8s.amazonaws.com/no_manage","requireTagOnSource":true}`), call: take(one, "10.10.1.80"),
			want:  refusal{403, "UnauthorizedOperation", "You are not authorized to perform this operation. Encoded authorization failure message: c2ltdWxhdGVk"},
			after: map[string][]string{"eni-spare": {"10.10.1.80"}}},
	} {
		t.Run(tc.name, tc.run)
	}
}

func TestUnassignPrivateIpAddresses(t *testing.T) {
	for _, tc := range []conformance{
		{name: "a secondary leaves the ENI",
			before: []call{assign(one, "10.10.1.80", "10.10.1.81")}, call: unassign(one, "10.10.1.80"), after: map[string][]string{one: {"10.10.1.81"}}},
		{name: "an address that is not on the ENI",
			call: unassign(one, "10.10.1.80"), want: value("Some of the specified addresses are not assigned to interface " + one)},
		{name: "an address of another ENI",
			before: []call{assign(two, "10.10.1.80")}, call: unassign(one, "10.10.1.80"),
			want: value("Some of the specified addresses are not assigned to interface " + one), after: map[string][]string{two: {"10.10.1.80"}}},
		{name: "repeating it does not succeed",
			before: []call{assign(one, "10.10.1.80"), unassign(one, "10.10.1.80")}, call: unassign(one, "10.10.1.80"),
			want: value("Some of the specified addresses are not assigned to interface " + one)},
		{name: "one address that is not there keeps the others",
			before: []call{assign(one, "10.10.1.80")}, call: unassign(one, "10.10.1.80", "10.10.1.81"),
			want: value("Some of the specified addresses are not assigned to interface " + one), after: map[string][]string{one: {"10.10.1.80"}}},
		{name: "the primary stays",
			call: unassign(one, "10.10.1.11"),
			want: value("Value (10.10.1.11) for parameter privateIpAddress is invalid. The primary IP address of an interface cannot be unassigned.")},
		{name: "nothing to unassign",
			call: unassign(one), want: refusal{400, "MissingParameter", "One of privateIpAddresses or ipv4Prefixes must be specified."}},
		{name: "an ENI that does not exist",
			call: unassign("eni-gone", "10.10.1.80"), want: refusal{400, "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-gone' does not exist"}},
	} {
		t.Run(tc.name, tc.run)
	}
}

func TestIPv6Addresses(t *testing.T) {
	const a, b = "2600:1f13:0:1::80", "2600:1f13:0:1::81"
	for _, tc := range []conformance{
		{name: "a free address is assigned, in canonical form",
			call: assign6(one, "2600:1F13:0:1:0:0:0:80"), after: map[string][]string{one: {a}}},
		{name: "repeating it on the same ENI succeeds by default",
			before: []call{assign6(one, a)}, call: assign6(one, a, b), after: map[string][]string{one: {a, b}}},
		{name: "or is refused, which is a setting",
			set: set(`{"ipv6RepeatError":true}`), before: []call{assign6(one, a)}, call: assign6(one, a),
			want: value("[" + a + "] assigned, but move is not allowed."), after: map[string][]string{one: {a}}},
		{name: "an address of another ENI cannot be taken over",
			before: []call{assign6(two, a)}, call: assign6(one, b, a),
			want: value("[" + a + "] assigned, but move is not allowed."), after: map[string][]string{two: {a}}},
		{name: "code and text of that are settings",
			set:    set(`{"ipv6InUseCode":"InvalidIPAddress.InUse","ipv6InUseMessage":"{address} is on {eni}"}`),
			before: []call{assign6(two, a)}, call: assign6(one, a),
			want: refusal{400, "InvalidIPAddress.InUse", a + " is on " + two}, after: map[string][]string{two: {a}}},
		{name: "it moves by leaving first",
			before: []call{assign6(two, a), unassign6(two, a)}, call: assign6(one, a), after: map[string][]string{one: {a}}},
		{name: "an address outside the subnet",
			call: assign6(one, "2600:1f13:0:2::80"), want: value("Address does not fall within the subnet's address range")},
		{name: "an address that AWS reserves",
			call: assign6(one, "2600:1f13:0:1::3"), want: value("Address 2600:1f13:0:1::3 is in subnet's reserved range.")},
		{name: "a subnet without IPv6",
			call: assign6("eni-w1-eth0", a), want: value("Address does not fall within the subnet's address range")},
		{name: "an IPv4 address is none",
			call: assign6(one, "10.10.1.80"), want: value("invalid value for parameter address: 10.10.1.80")},
		{name: "nothing to assign",
			call: assign6(one), want: refusal{400, "InvalidParameter", "One of ipv6Addresses or ipv6AddressCount or ipv6Prefixes or ipv6PrefixCount must be specified."}},
		{name: "as many as IPv4 addresses are the limit",
			call: func(ctx context.Context, c *ec2.Client) error {
				_, err := c.AssignIpv6Addresses(ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: aws.String(one), Ipv6AddressCount: aws.Int32(16)})
				return err
			}, want: refusal{400, "PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit."}},
		{name: "unassigning an address that is on another ENI",
			before: []call{assign6(two, a)}, call: unassign6(one, a),
			want: value("Some of the specified addresses are not assigned to interface " + one), after: map[string][]string{two: {a}}},
		{name: "unassigning several takes them all",
			before: []call{assign6(one, a, b)}, call: unassign6(one, a, b)},
		{name: "unassigning nothing",
			call: unassign6(one), want: refusal{400, "MissingParameter", "One of ipv6Addresses or ipv6Prefixes must be specified."}},
	} {
		t.Run(tc.name, tc.run)
	}
}

func TestCreateNetworkInterfaceRefuses(t *testing.T) {
	for _, tc := range []conformance{
		{name: "an address that is a secondary somewhere",
			before: []call{assign(one, "10.10.1.80")},
			call:   create(func(in *ec2.CreateNetworkInterfaceInput) { in.PrivateIpAddress = aws.String("10.10.1.80") }),
			want:   refusal{400, "InvalidIPAddress.InUse", "The specified address is already in use."}, after: map[string][]string{one: {"10.10.1.80"}}},
		{name: "an address that is a primary",
			call: create(func(in *ec2.CreateNetworkInterfaceInput) { in.PrivateIpAddress = aws.String("10.10.1.11") }),
			want: refusal{400, "InvalidIPAddress.InUse", "The specified address is already in use."}},
		{name: "an address that AWS reserves",
			call: create(func(in *ec2.CreateNetworkInterfaceInput) { in.PrivateIpAddress = aws.String("10.10.1.1") }),
			want: value("Address is in subnet's reserved address range")},
		{name: "an address of another subnet",
			call: create(func(in *ec2.CreateNetworkInterfaceInput) { in.PrivateIpAddress = aws.String("10.10.12.9") }),
			want: value("Address does not fall within the subnet's address range")},
		{name: "text that is not an address",
			call: create(func(in *ec2.CreateNetworkInterfaceInput) { in.PrivateIpAddress = aws.String("ten") }),
			want: value("invalid value for parameter address: ten")},
		{name: "two primaries",
			call: create(func(in *ec2.CreateNetworkInterfaceInput) {
				in.PrivateIpAddresses = []types.PrivateIpAddressSpecification{
					{PrivateIpAddress: aws.String("10.10.1.90"), Primary: aws.Bool(true)},
					{PrivateIpAddress: aws.String("10.10.1.91"), Primary: aws.Bool(true)},
				}
			}),
			want: value("Only one primary private IP address can be specified.")},
		{name: "a subnet that does not exist",
			call: create(func(in *ec2.CreateNetworkInterfaceInput) { in.SubnetId = aws.String("subnet-gone") }),
			want: refusal{400, "InvalidSubnetID.NotFound", "The subnet ID 'subnet-gone' does not exist"}},
		{name: "a dry run, even of a wrong request",
			call: create(func(in *ec2.CreateNetworkInterfaceInput) {
				in.PrivateIpAddress, in.DryRun = aws.String("ten"), aws.Bool(true)
			}),
			want: refusal{412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."}},
		{name: "tags of another kind of resource",
			call: create(func(in *ec2.CreateNetworkInterfaceInput) {
				in.TagSpecifications = []types.TagSpecification{{ResourceType: types.ResourceTypeInstance}}
			}),
			want: value("'instance' is not a valid taggable resource type for this operation.")},
	} {
		t.Run(tc.name, tc.run)
	}
}

// extra adds to the two workers an unattached ENI, one of another account, and
// a prefix reservation.
const extra = `
enis:
- {id: eni-spare, subnet: subnet-multus-a, primary: 10.10.1.13}
- {id: eni-foreign, subnet: subnet-multus-a, primary: 10.10.1.14, owner: "210987654321"}
`

func (tc conformance) run(t *testing.T) {
	r := startWith(t, load(t, twoWorkersText(t)+extra), withDefaults())
	addPrefixReservation(r)
	for i, before := range tc.before {
		if err := before(t.Context(), r.ec2); err != nil {
			t.Fatalf("before %d: %v", i, err)
		}
	}
	if tc.set != nil {
		tc.set(r)
	}
	err := tc.call(t.Context(), r.ec2)
	if got := refusalOf(err); got != tc.want || (err != nil) != (tc.want != refusal{}) {
		t.Errorf("got %+v (%v), want %+v", got, err, tc.want)
	}
	after := map[string][]string{}
	for _, e := range r.sim.ENIs() {
		for _, a := range append(e.Secondaries, e.IPv6...) {
			after[e.ID] = append(after[e.ID], a.String())
		}
	}
	if tc.after == nil {
		tc.after = map[string][]string{}
	}
	if diff := cmp.Diff(tc.after, after); diff != "" {
		t.Errorf("addresses afterwards (-want +got)\n%s", diff)
	}
}

func addPrefixReservation(r *rig) {
	r.t.Helper()
	_, err := r.ec2.CreateSubnetCidrReservation(r.t.Context(), &ec2.CreateSubnetCidrReservationInput{
		SubnetId: aws.String("subnet-multus-a"), Cidr: aws.String("10.10.1.192/27"), ReservationType: types.SubnetCidrReservationTypePrefix,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestThrottledCallsAnswer503(t *testing.T) {
	r := start(t)
	set(`{"throttle":true}`)(r)
	untilThrottled := func() (err error) {
		for range 150 { // 100 in the bucket and 5 more a second
			if err = assign(one, "10.10.1.80")(t.Context(), r.ec2); err != nil {
				break
			}
		}
		return err
	}
	want := refusal{http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded."}
	if got := refusalOf(untilThrottled()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	set(`{"throttleNamesAction":true}`)(r)
	want.Message += " Account 123456789012 has been throttled on ec2:AssignPrivateIpAddresses because it exceeded its request rate limit."
	if got := refusalOf(untilThrottled()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	r.sim.Reset()
	if err := assign(one, "10.10.1.80")(t.Context(), r.ec2); err != nil {
		t.Errorf("after a reset: %v", err)
	}
}
