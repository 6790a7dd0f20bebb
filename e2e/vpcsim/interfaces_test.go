package vpcsim_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// small is a /28 subnet, eleven addresses, of which one ENI has one.
const small = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-multus-a, cidr: 10.10.1.0/28, ipv6Cidr: "2600:1f13:0:1::/64", zone: us-west-2a}
instances:
- {id: i-1, type: m5.xlarge, enis: [{id: eni-1, subnet: subnet-multus-a, primary: 10.10.1.4}]}
`

func TestAutomaticAddresses(t *testing.T) {
	r := startWith(t, load(t, small), withDefaults())
	if got := code(assignCount("eni-1", 11)(t.Context(), r.ec2)); got != "InsufficientFreeAddressesInSubnet" {
		t.Errorf("11 of 10 free addresses: got %s", got)
	}
	if _, err := reserve(r, "10.10.1.8/30", types.SubnetCidrReservationTypeExplicit); err != nil {
		t.Fatal(err)
	}
	if _, err := reserve(r, "10.10.1.12/31", types.SubnetCidrReservationTypePrefix); err != nil {
		t.Fatal(err)
	}
	if err := assignCount("eni-1", 4)(t.Context(), r.ec2); err != nil {
		t.Fatal(err)
	}
	got := r.sim.ENIs()[0].Secondaries
	slices.SortFunc(got, netip.Addr.Compare)
	var texts []string
	for _, a := range got {
		texts = append(texts, a.String())
	}
	if diff := cmp.Diff([]string{"10.10.1.5", "10.10.1.6", "10.10.1.7", "10.10.1.14"}, texts); diff != "" {
		t.Errorf("automatic addresses avoid what AWS reserves and all reservations (-want +got)\n%s", diff)
	}
	if got := code(assignCount("eni-1", 1)(t.Context(), r.ec2)); got != "InsufficientFreeAddressesInSubnet" {
		t.Errorf("only reserved ones are left: got %s", got)
	}
	if err := assign("eni-1", "10.10.1.9")(t.Context(), r.ec2); err != nil {
		t.Errorf("naming a reserved one: %v", err)
	}
	_, err := r.ec2.AssignIpv6Addresses(t.Context(), &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: aws.String("eni-1"), Ipv6AddressCount: aws.Int32(3)})
	if err != nil || len(r.sim.ENIs()[0].IPv6) != 3 {
		t.Errorf("three IPv6 addresses: %v, %v", r.sim.ENIs()[0].IPv6, err)
	}
	if _, err := reserve(r, "2600:1f13:0:1::/64", types.SubnetCidrReservationTypeExplicit); err != nil {
		t.Fatal(err)
	}
	_, err = r.ec2.AssignIpv6Addresses(t.Context(), &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: aws.String("eni-1"), Ipv6AddressCount: aws.Int32(1)})
	if got := code(err); got != "InsufficientFreeAddressesInSubnet" {
		t.Errorf("an IPv6 subnet that is reserved whole: got %s", got)
	}
}

func reserve(r *rig, cidr string, kind types.SubnetCidrReservationType) (string, error) {
	out, err := r.ec2.CreateSubnetCidrReservation(r.t.Context(), &ec2.CreateSubnetCidrReservationInput{
		SubnetId: aws.String("subnet-multus-a"), Cidr: &cidr, ReservationType: kind, Description: aws.String("test"),
		TagSpecifications: []types.TagSpecification{{
			ResourceType: types.ResourceTypeSubnetCidrReservation,
			Tags:         []types.Tag{{Key: aws.String("Name"), Value: aws.String("r")}},
		}},
	})
	if err != nil {
		return "", err
	}
	return *out.SubnetCidrReservation.SubnetCidrReservationId, nil
}

func TestReservations(t *testing.T) {
	r := start(t)
	if err := assign(one, "10.10.1.33")(t.Context(), r.ec2); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, cidr string
		kind       types.SubnetCidrReservationType
		want       refusal
	}{
		{name: "a range with addresses in use", cidr: "10.10.1.32/28", kind: types.SubnetCidrReservationTypeExplicit},
		{name: "a single address", cidr: "10.10.1.5/32", kind: types.SubnetCidrReservationTypeExplicit},
		{name: "an IPv6 range", cidr: "2600:1f13:0:1:1::/80", kind: types.SubnetCidrReservationTypePrefix},
		{name: "a range that overlaps one of the same type", cidr: "10.10.1.32/31", kind: types.SubnetCidrReservationTypeExplicit,
			want: value("Reservation CIDR 10.10.1.32/31 has overlap with existing reserved CIDR block")},
		{name: "or of the other type", cidr: "10.10.1.0/26", kind: types.SubnetCidrReservationTypePrefix,
			want: value("Reservation CIDR 10.10.1.0/26 has overlap with existing reserved CIDR block")},
		{name: "a range outside the subnet", cidr: "10.10.2.0/28", kind: types.SubnetCidrReservationTypePrefix,
			want: value("Reservation CIDR should be within subnet CIDR block (10.10.1.0/24)")},
		{name: "a range larger than the subnet", cidr: "10.10.0.0/16", kind: types.SubnetCidrReservationTypePrefix,
			want: value("Reservation CIDR should be within subnet CIDR block (10.10.1.0/24)")},
		{name: "a type that is none", cidr: "10.10.1.48/28", kind: "pods", want: value("Value (pods) for parameter reservationType is invalid.")},
		{name: "a CIDR that is none", cidr: "10.10.1.48", kind: types.SubnetCidrReservationTypePrefix,
			want: value("Value (10.10.1.48) for parameter cidr is invalid. This is not a valid CIDR block.")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := reserve(r, tc.cidr, tc.kind)
			if got := refusalOf(err); got != tc.want {
				t.Errorf("got %+v (%v), want %+v", got, err, tc.want)
			}
		})
	}
	out, err := r.ec2.GetSubnetCidrReservations(t.Context(), &ec2.GetSubnetCidrReservationsInput{
		SubnetId: aws.String("subnet-multus-a"), Filters: []types.Filter{filter("tag:Name", "r")},
	})
	if err != nil || len(out.SubnetIpv4CidrReservations) != 2 || len(out.SubnetIpv6CidrReservations) != 1 {
		t.Fatalf("got %d and %d reservations, %v", len(out.SubnetIpv4CidrReservations), len(out.SubnetIpv6CidrReservations), err)
	}
	id := out.SubnetIpv4CidrReservations[0].SubnetCidrReservationId
	for i, want := range []string{"ok", "InvalidSubnetCidrReservationID.NotFound"} {
		_, err := r.ec2.DeleteSubnetCidrReservation(t.Context(), &ec2.DeleteSubnetCidrReservationInput{SubnetCidrReservationId: id})
		if got := code(err); got != want {
			t.Errorf("deletion %d: got %s, want %s", i, got, want)
		}
	}
	_, err = r.ec2.GetSubnetCidrReservations(t.Context(), &ec2.GetSubnetCidrReservationsInput{SubnetId: aws.String("subnet-gone")})
	if got := code(err); got != "InvalidSubnetID.NotFound" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(r.sim.ENIs()[1].Secondaries); got != "[10.10.1.33]" {
		t.Errorf("reserving and freeing a range changed its addresses: %s", got)
	}
}

func TestReservationsComeInPagesOf255(t *testing.T) {
	var b strings.Builder
	b.WriteString("region: us-west-2\nvpc: {id: vpc-1, cidr: 10.10.0.0/16}\nsubnets:\n- {id: subnet-a, cidr: 10.10.0.0/20, zone: us-west-2a}\nreservations:\n")
	for i := range 600 {
		fmt.Fprintf(&b, "- {subnet: subnet-a, cidr: 10.10.%d.%d/32, type: explicit}\n", 1+i/200, i%200)
	}
	r := startWith(t, load(t, b.String()), withDefaults())
	in := &ec2.GetSubnetCidrReservationsInput{SubnetId: aws.String("subnet-a")}
	var sizes []int
	seen := map[string]bool{}
	for {
		out, err := r.ec2.GetSubnetCidrReservations(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(out.SubnetIpv4CidrReservations))
		for _, res := range out.SubnetIpv4CidrReservations {
			seen[*res.Cidr] = true
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if diff := cmp.Diff([]int{255, 255, 90}, sizes); diff != "" || len(seen) != 600 {
		t.Errorf("%d ranges in pages (-want +got)\n%s", len(seen), diff)
	}
}

func TestPrefixDelegation(t *testing.T) {
	// t3.medium takes six addresses or prefixes per ENI.
	r := startWith(t, load(t, strings.ReplaceAll(twoWorkersText(t), "m5.xlarge", "t3.medium")+`
enis: [{id: eni-spare, subnet: subnet-multus-a, primary: 10.10.1.13}]
`), withDefaults())
	prefixes := func(eni string, list ...string) call {
		return assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &eni, Ipv4Prefixes: list})
	}
	count := func(eni string, n int32) call {
		return assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &eni, Ipv4PrefixCount: &n})
	}
	release := func(eni string, list ...string) call {
		return func(ctx context.Context, c *ec2.Client) error {
			_, err := c.UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: &eni, Ipv4Prefixes: list})
			return err
		}
	}
	for _, step := range []struct {
		name string
		do   call
		want string
	}{
		{"a free block is delegated", prefixes(one, "10.10.1.128/28"), "ok"},
		{"again on the same ENI is a success", prefixes(one, "10.10.1.128/28"), "ok"},
		{"but not on another", prefixes(two, "10.10.1.128/28"), "InvalidParameterValue"},
		{"a block with a primary in it", prefixes(two, "10.10.1.0/28"), "InvalidParameterValue"},
		{"a block of another size", prefixes(two, "10.10.1.144/29"), "InvalidParameterValue"},
		{"a block outside the subnet", prefixes(two, "10.10.2.0/28"), "InvalidParameterValue"},
		{"an address of the block is never assigned singly", take(two, "10.10.1.130"), "InvalidParameterValue"},
		{"not even to the ENI that holds the block", take(one, "10.10.1.130"), "InvalidParameterValue"},
		{"each block takes one slot of the six", count(one, 4), "ok"},
		{"and no more than that", count(one, 1), "PrivateIpAddressLimitExceeded"},
		{"which single addresses share", assign(one, "10.10.1.90"), "PrivateIpAddressLimitExceeded"},
		{"only five blocks are free then", count("eni-spare", 6), "InsufficientCidrBlocks"},
		{"all or none are delegated", count("eni-spare", 5), "ok"},
		{"a block that is not on the ENI cannot be released", release(two, "10.10.1.128/28"), "InvalidParameterValue"},
		{"nor one of a wrong size", release(one, "10.10.1.128/27"), "InvalidParameterValue"},
		{"its holder releases it", release(one, "10.10.1.128/28"), "ok"},
		{"and its addresses are free again", assign(two, "10.10.1.130"), "ok"},
	} {
		if got := code(step.do(t.Context(), r.ec2)); got != step.want {
			t.Errorf("%s: got %s, want %s", step.name, got, step.want)
		}
	}
	for _, e := range r.sim.ENIs() {
		for _, p := range e.IPv4Prefixes {
			if p.Overlaps(netip.MustParsePrefix("10.10.1.64/26")) {
				t.Errorf("EC2 chose prefix %s in an explicit reservation", p)
			}
		}
	}
}

func TestPrefixesComeFromPrefixReservationsFirst(t *testing.T) {
	r := start(t)
	addPrefixReservation(r) // 10.10.1.192/27, two blocks
	if _, err := reserve(r, "2600:1f13:0:1:7::/80", types.SubnetCidrReservationTypePrefix); err != nil {
		t.Fatal(err)
	}
	if err := assignInput(ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: aws.String(one), Ipv4PrefixCount: aws.Int32(2)})(t.Context(), r.ec2); err != nil {
		t.Fatal(err)
	}
	out, err := r.ec2.AssignIpv6Addresses(t.Context(), &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: aws.String(one), Ipv6PrefixCount: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2600:1f13:0:1:7::/80"}, out.AssignedIpv6Prefixes); diff != "" {
		t.Errorf("IPv6 (-want +got)\n%s", diff)
	}
	for _, p := range r.sim.ENIs()[1].IPv4Prefixes {
		if !netip.MustParsePrefix("10.10.1.192/27").Overlaps(p) {
			t.Errorf("prefix %s comes from outside the reservation", p)
		}
	}
}

// TestLifeOfAnENI follows one ENI through everything that can happen to it.
func TestLifeOfAnENI(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	in := &ec2.CreateNetworkInterfaceInput{
		SubnetId: aws.String("subnet-multus-a"), Description: aws.String("spare"), ClientToken: aws.String("once"),
		PrivateIpAddresses: []types.PrivateIpAddressSpecification{
			{PrivateIpAddress: aws.String("10.10.1.70"), Primary: aws.Bool(true)}, {PrivateIpAddress: aws.String("10.10.1.71")},
		},
		Ipv6Addresses: []types.InstanceIpv6Address{{Ipv6Address: aws.String("2600:1f13:0:1::70"), IsPrimaryIpv6: aws.Bool(true)}},
		TagSpecifications: []types.TagSpecification{{
			ResourceType: types.ResourceTypeNetworkInterface, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}},
		}},
	}
	first, err := r.ec2.CreateNetworkInterface(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	id := *first.NetworkInterface.NetworkInterfaceId
	if status := first.NetworkInterface.Status; status != "pending" {
		t.Errorf("it is %s in the answer, want pending", status)
	}
	var attachment string
	attach := func(instance string, index int32) call {
		return func(ctx context.Context, c *ec2.Client) error {
			out, err := c.AttachNetworkInterface(ctx, &ec2.AttachNetworkInterfaceInput{
				NetworkInterfaceId: &id, InstanceId: &instance, DeviceIndex: &index,
			})
			if err == nil {
				attachment = *out.AttachmentId
			}
			return err
		}
	}
	detach := func(id *string) call {
		return func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{AttachmentId: id})
			return err
		}
	}
	remove := func(ctx context.Context, c *ec2.Client) error {
		_, err := c.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &id})
		return err
	}
	modify := func(in ec2.ModifyNetworkInterfaceAttributeInput) call {
		return func(ctx context.Context, c *ec2.Client) error {
			in.NetworkInterfaceId = &id
			if in.Attachment != nil {
				in.Attachment.AttachmentId = &attachment
			}
			_, err := c.ModifyNetworkInterfaceAttribute(ctx, &in)
			return err
		}
	}
	off := &types.AttributeBooleanValue{Value: aws.Bool(false)}
	text := &types.AttributeValue{Value: aws.String("pods")}
	for _, step := range []struct {
		name string
		do   call
		want string
	}{
		{"a place that is taken", attach("i-worker1", 1), "400 InvalidParameterValue Instance 'i-worker1' already has an interface attached at device index '1'."},
		{"an instance that does not exist", attach("i-gone", 1), "400 InvalidInstanceID.NotFound The instance ID 'i-gone' does not exist"},
		{"a free place", attach("i-worker1", 2), ""},
		{"twice", attach("i-worker1", 3), "400 InvalidNetworkInterface.InUse Interface: [" + id + "] in use."},
		{"one attribute at a time", modify(ec2.ModifyNetworkInterfaceAttributeInput{SourceDestCheck: off, Description: text}),
			"400 InvalidParameterCombination Fields for multiple attribute types specified: sourceDestCheck, description"},
		{"no attribute", modify(ec2.ModifyNetworkInterfaceAttributeInput{}), "400 InvalidParameterCombination No attributes specified."},
		{"the source check goes off", modify(ec2.ModifyNetworkInterfaceAttributeInput{SourceDestCheck: off}), ""},
		{"the description changes", modify(ec2.ModifyNetworkInterfaceAttributeInput{Description: text}), ""},
		{"it ends with its instance", modify(ec2.ModifyNetworkInterfaceAttributeInput{Attachment: &types.NetworkInterfaceAttachmentChanges{DeleteOnTermination: aws.Bool(true)}}), ""},
		{"an attached ENI cannot be deleted", remove, "400 InvalidParameterValue Network interface '" + id + "' is currently in use."},
		{"its primary IPv6 address stays", unassign6(id, "2600:1f13:0:1::70"),
			"400 InvalidParameterValue Value (2600:1f13:0:1::70) for parameter ipv6Address is invalid. The primary IPv6 address of an interface cannot be unassigned."},
		{"tags are added", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id, "i-worker1"}, Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}}})
			return err
		}, ""},
		{"on all resources or none", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id, "eni-gone"}, Tags: []types.Tag{{Key: aws.String("c"), Value: aws.String("3")}}})
			return err
		}, "400 InvalidNetworkInterfaceID.NotFound The networkInterface ID 'eni-gone' does not exist"},
		{"and removed by their value", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("9")}}})
			return err
		}, ""},
	} {
		if got := describe(refusalOf(step.do(ctx, r.ec2))); got != step.want {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
	}
	out, err := r.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	e := out.NetworkInterfaces[0]
	got := fmt.Sprintf("%s %v %v %d %d %s %s", *e.Description, *e.SourceDestCheck, *e.Attachment.DeleteOnTermination,
		*e.Attachment.DeviceIndex, len(e.TagSet), *e.TagSet[0].Key, e.Status)
	if want := "pods false true 2 1 b in-use"; got != want {
		t.Errorf("the ENI is %q, want %q", got, want)
	}
	for _, step := range []struct {
		name string
		do   call
		want string
	}{
		{"an attachment that does not exist", detach(aws.String("eni-attach-gone")), "InvalidAttachmentID.NotFound"},
		{"it is detached", detach(&attachment), "ok"},
		{"and keeps its addresses, which stay taken", assign(one, "10.10.1.71"), "InvalidParameterValue"},
		{"a detached ENI can gain addresses", assign(id, "10.10.1.72"), "ok"},
		{"and lose them to others", take(one, "10.10.1.71"), "ok"},
		{"it is deleted", remove, "ok"},
		{"and gone", remove, "InvalidNetworkInterfaceID.NotFound"},
		{"with its addresses free again", assign(two, "10.10.1.70", "10.10.1.72"), "ok"},
	} {
		if got := code(step.do(ctx, r.ec2)); got != step.want {
			t.Errorf("%s: got %s, want %s", step.name, got, step.want)
		}
	}
}

func describe(r refusal) string {
	if r == (refusal{}) {
		return ""
	}
	return fmt.Sprintf("%d %s %s", r.Status, r.Code, r.Message)
}

func TestTheMainENICannotBeDetached(t *testing.T) {
	r := start(t)
	out, err := r.ec2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{"eni-w1-eth0"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.ec2.DetachNetworkInterface(t.Context(), &ec2.DetachNetworkInterfaceInput{AttachmentId: out.NetworkInterfaces[0].Attachment.AttachmentId})
	if got := describe(refusalOf(err)); got != "400 OperationNotPermitted The network interface at device index 0 cannot be detached." {
		t.Errorf("got %s", got)
	}
}

func TestAttachingObeysTheType(t *testing.T) {
	r := startWith(t, load(t, `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-a, cidr: 10.10.1.0/24, zone: us-west-2a}
- {id: subnet-b, cidr: 10.10.2.0/24, zone: us-west-2b}
instances:
- {id: i-1, type: t3.nano, enis: [{id: eni-1, subnet: subnet-a, primary: 10.10.1.10}]}
enis:
- {id: eni-full, subnet: subnet-a, primary: 10.10.1.11, secondaries: [10.10.1.21, 10.10.1.22]}
- {id: eni-far, subnet: subnet-b, primary: 10.10.2.11}
- {id: eni-fits, subnet: subnet-a, primary: 10.10.1.12}
- {id: eni-more, subnet: subnet-a, primary: 10.10.1.13}
`), withDefaults())
	for _, tc := range []struct {
		name, eni string
		index     int32
		want      string
	}{
		{"an ENI with more addresses than the type takes", "eni-full", 1, "400 PrivateIpAddressLimitExceeded Number of private addresses will exceed limit."},
		{"an ENI of another zone", "eni-far", 1, "400 InvalidParameterCombination You may not attach a network interface to an instance if they are not in the same availability zone"},
		{"one that fits", "eni-fits", 1, ""},
		{"one more than the type takes", "eni-more", 2, "400 AttachmentLimitExceeded Interface count 3 exceeds the limit for t3.nano"},
	} {
		_, err := r.ec2.AttachNetworkInterface(t.Context(), &ec2.AttachNetworkInterfaceInput{
			NetworkInterfaceId: &tc.eni, InstanceId: aws.String("i-1"), DeviceIndex: &tc.index,
		})
		if got := describe(refusalOf(err)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	set(`{"unattachedLimit":2}`)(r)
	if got := code(assign("eni-more", "10.10.1.31", "10.10.1.32")(t.Context(), r.ec2)); got != "PrivateIpAddressLimitExceeded" {
		t.Errorf("the limit of an unattached ENI is a setting: got %s", got)
	}
}
