package vpcsim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// states is a topology of what recorded accounts had and most tests do without.
const states = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16, ipv6Cidr: "2600:1f13:0:100::/56", moreCidrs: [100.64.0.0/16, "2600:1f13:1:100::/56"]}
vpcs:
- {id: vpc-2, cidr: 10.20.0.0/16}
securityGroups:
- {id: sg-pods, name: pods}
- {id: sg-far, name: far, vpc: vpc-2}
instanceTypes:
- {name: t8i.nano, interfaces: 2, addresses: 4}
subnets:
- {id: subnet-a, cidr: 10.10.1.0/24, ipv6Cidr: "2600:1f13:0:101::/64", zone: us-west-2a}
- {id: subnet-more, cidr: 100.64.1.0/24, zone: us-west-2a}
- {id: subnet-v6, ipv6Cidr: "2600:1f13:1:101::/64", zone: us-west-2a}
- {id: subnet-far, vpc: vpc-2, cidr: 10.20.1.0/24, zone: us-west-2a}
instances:
- id: i-1
  type: t8i.nano
  enis:
  - {id: eni-1, subnet: subnet-a, primary: 10.10.1.11, groups: [sg-pods], publicIp: 203.0.113.7, mac: "02:00:00:00:00:01"}
  - {id: eni-v6, subnet: subnet-v6, deviceIndex: 1, ipv6: ["2600:1f13:1:101::5"], mac: "02:00:00:00:00:02"}
- id: i-v6
  type: t3.nano
  enis: [{id: eni-v6only, subnet: subnet-v6, ipv6: ["2600:1f13:1:101::6"], mac: "02:00:00:00:00:03"}]
- {id: i-off, type: t3.nano, state: stopped, enis: [{id: eni-off, subnet: subnet-a, primary: 10.10.1.12}]}
- {id: i-new, type: t3.nano, state: pending, enis: [{id: eni-new, subnet: subnet-a, primary: 10.10.1.15}]}
enis:
- {id: eni-elb, subnet: subnet-a, primary: 10.10.1.40, secondaries: [10.10.1.41], requester: amazon-elb, description: ELB app/front}
- {id: eni-nat, subnet: subnet-a, primary: 10.10.1.50, requester: amazon-aws, interfaceType: nat_gateway}
- {id: eni-far, subnet: subnet-far, primary: 10.20.1.5}
- {id: eni-spare, subnet: subnet-a, primary: 10.10.1.60}
`

func describeENI(r *rig, id string) types.NetworkInterface {
	r.t.Helper()
	out, err := r.ec2.DescribeNetworkInterfaces(r.t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{id}})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.NetworkInterfaces[0]
}

func TestENIsOfAWSServices(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	e := describeENI(r, "eni-elb")
	if !*e.RequesterManaged || *e.RequesterId != "amazon-elb" || e.Attachment == nil || e.Attachment.InstanceId != nil ||
		*e.Attachment.InstanceOwnerId != "amazon-elb" || e.Status != types.NetworkInterfaceStatusInUse {
		t.Errorf("got %+v, want an ENI that is attached to no instance", e)
	}
	if nat := describeENI(r, "eni-nat"); nat.InterfaceType != "nat_gateway" {
		t.Errorf("type %s", nat.InterfaceType)
	}
	if spare := describeENI(r, "eni-spare"); *spare.RequesterManaged || *spare.RequesterId == "" {
		t.Errorf("got %+v, want an ENI that a user made", spare)
	}
	remove := func(ctx context.Context, c *ec2.Client) error {
		_, err := c.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: aws.String("eni-elb")})
		return err
	}
	detach := func(ctx context.Context, c *ec2.Client) error {
		_, err := c.DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{AttachmentId: e.Attachment.AttachmentId})
		return err
	}
	for _, tc := range []struct {
		name string
		call call
		want string
	}{
		{"its primary address is never moved", take("eni-1", "10.10.1.40"), "400 InvalidParameterValue secondary-addresses"},
		{"nor is another", take("eni-1", "10.10.1.41"), "400 InvalidIPAddress.InUse The specified address is already in use."},
		{"nor does it get one", assign("eni-elb", "10.10.1.42"), "400 OperationNotPermitted You do not have permission to access the specified resource."},
		{"it is not deleted", remove, "400 OperationNotPermitted You do not have permission to access the specified resource."},
		{"nor detached", detach, "400 OperationNotPermitted You are not allowed to manage 'ela-attach' attachments."},
	} {
		if got := describe(refusalOf(tc.call(t.Context(), r.ec2))); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestSubnetsWithIPv6Only(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	out, err := r.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{SubnetIds: []string{"subnet-v6"}})
	if err != nil {
		t.Fatal(err)
	}
	s := out.Subnets[0]
	if s.CidrBlock != nil || !*s.Ipv6Native || *s.AvailableIpAddressCount != 0 || len(s.Ipv6CidrBlockAssociationSet) != 1 {
		t.Errorf("subnet %+v", s)
	}
	if e := describeENI(r, "eni-v6"); e.PrivateIpAddress != nil || len(e.PrivateIpAddresses) > 0 || *e.Ipv6Addresses[0].Ipv6Address != "2600:1f13:1:101::5" {
		t.Errorf("ENI %+v", e)
	}
	made, err := r.ec2.CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-v6")})
	if err != nil || made.NetworkInterface.PrivateIpAddress != nil || len(made.NetworkInterface.Ipv6Addresses) != 1 {
		t.Errorf("a new ENI: %v, %v; want one IPv6 address and no IPv4", made, err)
	}
	for _, tc := range []struct { // in this order, as an ENI keeps what it got
		name string
		call call
		want string
	}{
		{"an IPv4 address", assign("eni-v6", "10.10.1.80"), "InvalidParameterValue"},
		{"one that EC2 chooses", assignCount("eni-v6", 1), "InsufficientFreeAddressesInSubnet"},
		{"another IPv6 address", assign6("eni-v6", "2600:1f13:1:101::9"), "ok"},
		{"more than a type has", assign6("eni-v6", "2600:1f13:1:101::a", "2600:1f13:1:101::b", "2600:1f13:1:101::c"), "PrivateIpAddressLimitExceeded"},
		{"an IPv6 address of it", assign6("eni-1", "2600:1f13:1:101::d"), "InvalidParameterValue"},
	} {
		if got := code(tc.call(t.Context(), r.ec2)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
	v := virtual{Sim: r.sim, t: t}
	const mac = "network/interfaces/macs/02:00:00:00:00:03/"
	want := map[string]string{
		"local-ipv4": "Not Found", mac + "local-ipv4s": "Not Found", mac + "subnet-ipv4-cidr-block": "Not Found",
		"local-hostname": "i-v6.us-west-2.compute.internal", "ipv6": "2600:1f13:1:101::6", mac + "ipv6s": "2600:1f13:1:101::6",
		mac + "subnet-ipv6-cidr-blocks": "2600:1f13:1:101:0:0:0:0/64",
		mac + "vpc-ipv6-cidr-blocks":    "2600:1f13:0:100:0:0:0:0/56\n2600:1f13:1:100:0:0:0:0/56",
		mac + "vpc-ipv4-cidr-blocks":    "10.10.0.0/16\n100.64.0.0/16",
	}
	got := map[string]string{}
	for path := range want {
		got[path] = v.metadata("i-v6", path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metadata (-want +got)\n%s", diff)
	}
	instance, err := r.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"i-v6"}})
	if err != nil {
		t.Fatal(err)
	}
	if i := instance.Reservations[0].Instances[0]; i.PrivateIpAddress != nil || *i.Ipv6Address != "2600:1f13:1:101::6" {
		t.Errorf("instance %+v", i)
	}
}

func TestPublicAddresses(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	e := describeENI(r, "eni-1")
	const name = "ec2-203-0-113-7.us-west-2.compute.amazonaws.com"
	if e.Association == nil || *e.Association.PublicIp != "203.0.113.7" || *e.Association.PublicDnsName != name || *e.PrivateIpAddresses[0].Association.PublicIp != "203.0.113.7" {
		t.Errorf("association %+v", e.Association)
	}
	v := virtual{Sim: r.sim, t: t}
	const mac = "network/interfaces/macs/02:00:00:00:00:01/"
	for path, want := range map[string]string{
		"public-ipv4": "203.0.113.7", "public-hostname": name, mac + "public-ipv4s": "203.0.113.7", mac + "public-hostname": name,
		mac + "ipv4-associations/": "203.0.113.7", mac + "ipv4-associations/203.0.113.7": "10.10.1.11", mac + "security-groups": "pods",
		"security-groups": "pods", mac + "security-group-ids": "sg-pods",
	} {
		if got := v.metadata("i-1", path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestSeveralVPCs(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	out, err := r.ec2.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
	if err != nil || len(out.Vpcs) != 2 {
		t.Fatalf("%v, %v", out, err)
	}
	if v := out.Vpcs[0]; *v.VpcId != "vpc-1" || *v.CidrBlock != "10.10.0.0/16" || len(v.CidrBlockAssociationSet) != 2 || len(v.Ipv6CidrBlockAssociationSet) != 2 {
		t.Errorf("vpc %+v", v)
	}
	filtered, err := r.ec2.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("cidr-block-association.cidr-block", "100.64.0.0/16")}})
	if err != nil || len(filtered.Vpcs) != 1 {
		t.Errorf("%v, %v", filtered, err)
	}
	if _, err := r.ec2.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{VpcIds: []string{"vpc-9"}}); code(err) != "InvalidVpcID.NotFound" {
		t.Errorf("got %v", err)
	}
	enis, err := r.ec2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{filter("vpc-id", "vpc-2")}})
	if err != nil || len(enis.NetworkInterfaces) != 1 || *enis.NetworkInterfaces[0].VpcId != "vpc-2" {
		t.Errorf("ENIs of vpc-2: %v, %v", enis, err)
	}
	subnets, err := r.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter("vpc-id", "vpc-1")}})
	if err != nil || len(subnets.Subnets) != 3 {
		t.Errorf("subnets of vpc-1: %v, %v", subnets, err)
	}
}

func TestSecurityGroupsOfAnotherVPC(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	create := func(group string) call {
		return func(ctx context.Context, c *ec2.Client) error {
			_, err := c.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-a"), Groups: []string{group}})
			return err
		}
	}
	modify := func(group string) call {
		return func(ctx context.Context, c *ec2.Client) error {
			_, err := c.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String("eni-spare"), Groups: []string{group}})
			return err
		}
	}
	for _, tc := range []struct {
		name string
		call call
		want string
	}{
		{"one of the VPC", create("sg-pods"), "ok"},
		{"one of another VPC on create", create("sg-far"), "InvalidParameterValue"},
		{"and on modify", modify("sg-far"), "InvalidGroup.NotFound"},
		{"one that does not exist", create("sg-gone"), "InvalidGroup.NotFound"},
		{"one of the VPC on modify", modify("sg-pods"), "ok"},
	} {
		if got := code(tc.call(t.Context(), r.ec2)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestInstancesThatDoNotRun(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	out, err := r.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{filter("instance-state-name", "stopped")}})
	if err != nil || len(out.Reservations) != 1 || *out.Reservations[0].Instances[0].State.Code != 80 {
		t.Fatalf("stopped: %v, %v", out, err)
	}
	attach := func(instance string) call {
		return func(ctx context.Context, c *ec2.Client) error {
			_, err := c.AttachNetworkInterface(ctx, &ec2.AttachNetworkInterfaceInput{
				NetworkInterfaceId: aws.String("eni-spare"), InstanceId: &instance, DeviceIndex: aws.Int32(1),
			})
			return err
		}
	}
	if got := code(attach("i-new")(t.Context(), r.ec2)); got != "IncorrectState" {
		t.Errorf("attaching to one that starts: %s", got)
	}
	if err := attach("i-off")(t.Context(), r.ec2); err != nil {
		t.Errorf("attaching to a stopped one: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := metadataClient(t, r.srv.IMDSURL["i-off"]).GetMetadata(ctx, &imds.GetMetadataInput{Path: "mac"}); err == nil {
		t.Error("the metadata of a stopped instance answer")
	}
}

func TestTypesNewerThanTheTable(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	out, err := r.ec2.DescribeInstanceTypes(t.Context(), &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{"t8i.nano"}})
	if err != nil {
		t.Fatal(err)
	}
	n := out.InstanceTypes[0].NetworkInfo
	if *n.MaximumNetworkInterfaces != 2 || *n.Ipv4AddressesPerInterface != 4 || aws.ToString(n.NetworkPerformance) == "" {
		t.Errorf("network info %+v", n)
	}
	if got := code(assign("eni-1", "10.10.1.21", "10.10.1.22", "10.10.1.23", "10.10.1.24")(t.Context(), r.ec2)); got != "PrivateIpAddressLimitExceeded" {
		t.Errorf("a fifth address: %s", got)
	}
	_, err = r.ec2.DescribeInstanceTypes(t.Context(), &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{"t9x.nano"}})
	if got := code(err); got != "InvalidInstanceType" {
		t.Errorf("got %s", got)
	}
}

func TestAttributesOfAnENI(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	id := aws.String("eni-spare")
	off := &types.AttributeBooleanValue{Value: aws.Bool(false)}
	if _, err := r.ec2.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: id, SourceDestCheck: off}); err != nil {
		t.Fatal(err)
	}
	show := func(name types.NetworkInterfaceAttribute) *ec2.DescribeNetworkInterfaceAttributeOutput {
		out, err := r.ec2.DescribeNetworkInterfaceAttribute(t.Context(), &ec2.DescribeNetworkInterfaceAttributeInput{NetworkInterfaceId: id, Attribute: name})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := show("sourceDestCheck"); *out.SourceDestCheck.Value || out.Groups != nil || out.Description != nil {
		t.Errorf("got %+v, want the check alone", out)
	}
	if out := show("groupSet"); len(out.Groups) != 1 || out.SourceDestCheck != nil {
		t.Errorf("got %+v, want the groups alone", out)
	}
	if out := show("attachment"); out.Attachment != nil {
		t.Errorf("got %+v, want no attachment", out)
	}
	if _, err := r.ec2.ResetNetworkInterfaceAttribute(t.Context(), &ec2.ResetNetworkInterfaceAttributeInput{NetworkInterfaceId: id, SourceDestCheck: aws.String("")}); err != nil {
		t.Fatal(err)
	}
	if out := show("sourceDestCheck"); !*out.SourceDestCheck.Value {
		t.Error("the check is not on after it was reset")
	}
	_, err := r.ec2.DescribeNetworkInterfaceAttribute(t.Context(), &ec2.DescribeNetworkInterfaceAttributeInput{NetworkInterfaceId: id, Attribute: "colour"})
	if got := code(err); got != "InvalidParameterValue" {
		t.Errorf("got %s", got)
	}
}

func TestIDsThatAreMalformed(t *testing.T) {
	r := start(t)
	_, err := r.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"nonsense"}})
	if got := refusalOf(err); got != (refusal{http.StatusBadRequest, "InvalidInstanceID.Malformed", `Invalid id: "nonsense" (expecting "i-...")`}) {
		t.Errorf("got %+v", got)
	}
}

func TestDocumentedFiltersAreKnown(t *testing.T) {
	r := startWith(t, load(t, states), withDefaults())
	for action, names := range map[string]string{
		"DescribeNetworkInterfaces": `association.allocation-id association.association-id addresses.association.owner-id
			addresses.association.public-ip addresses.primary addresses.private-ip-address association.ip-owner-id
			association.public-ip association.public-dns-name attachment.attach-time attachment.attachment-id
			attachment.delete-on-termination attachment.device-index attachment.instance-id attachment.instance-owner-id
			attachment.status availability-zone availability-zone-id description group-id ipv6-addresses.ipv6-address
			interface-type mac-address network-interface-id operator.managed operator.principal owner-id private-dns-name
			private-ip-address requester-id requester-managed source-dest-check status subnet-id tag-key vpc-id`,
		"DescribeSubnets": `availability-zone availability-zone-id available-ip-address-count cidr-block cidr cidrBlock
			customer-owned-ipv4-pool default-for-az defaultForAz enable-dns64 enable-lni-at-device-index
			ipv6-cidr-block-association.ipv6-cidr-block ipv6-cidr-block-association.association-id
			ipv6-cidr-block-association.state ipv6-native map-customer-owned-ip-on-launch map-public-ip-on-launch outpost-arn
			owner-id private-dns-name-options-on-launch.hostname-type
			private-dns-name-options-on-launch.enable-resource-name-dns-a-record
			private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record state subnet-arn subnet-id tag-key vpc-id`,
		"DescribeInstances": `affinity architecture availability-zone block-device-mapping.volume-id boot-mode client-token
			dns-name ena-support host-id hypervisor iam-instance-profile.arn image-id instance-lifecycle instance-state-code
			instance.group-id ip-address ipv6-address key-name launch-time metadata-options.http-tokens monitoring-state
			network-interface.addresses.primary network-interface.attachment.instance-id network-interface.requester-id
			network-interface.tag-key network-interface.tag-value network-interface.public-dns-name network-interface.outpost-arn
			network-interface.ipv4-prefixes.ipv4-prefix network-interface.ipv6-addresses.is-primary-ipv6
			network-interface.addresses.association.public-ip network-interface.addresses.association.ip-owner-id
			operator.managed outpost-arn platform private-dns-name-options.hostname-type reservation-id root-device-type
			source-dest-check spot-instance-request-id state-reason-code tenancy usage-operation virtualization-type vpc-id`,
	} {
		for name := range strings.FieldsSeq(names) {
			_, body := r.query("Action=" + action + "&Version=2016-11-15&Filter.1.Name=" + name + "&Filter.1.Value.1=*")
			if strings.Contains(body, "<Error>") {
				t.Errorf("%s: %s: %s", action, name, body)
			}
		}
	}
	for _, tc := range []struct {
		filter types.Filter
		want   []string
	}{
		{filter("requester-managed", "true"), []string{"eni-elb", "eni-nat"}},
		{filter("requester-id", "amazon-elb"), []string{"eni-elb"}},
		{filter("interface-type", "nat_gateway"), []string{"eni-nat"}},
		{filter("association.public-ip", "203.0.113.7"), []string{"eni-1"}},
		{filter("attachment.instance-owner-id", "amazon-*"), []string{"eni-elb", "eni-nat"}},
		{filter("private-dns-name", "ip-10-10-1-60.*"), []string{"eni-spare"}},
		{filter("association.allocation-id", "*"), nil},
	} {
		out, err := r.ec2.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{tc.filter}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, eniIDs(out.NetworkInterfaces)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", *tc.filter.Name, diff)
		}
	}
	native, err := r.ec2.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter("ipv6-native", "true")}})
	if err != nil || len(native.Subnets) != 1 || *native.Subnets[0].SubnetId != "subnet-v6" {
		t.Errorf("native subnets: %v, %v", native, err)
	}
}
