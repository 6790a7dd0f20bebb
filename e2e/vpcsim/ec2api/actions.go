package ec2api

import (
	"maps"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
)

// action is one operation of the API.
type action struct {
	// params are the shapes of the parameters that are simulated.
	params []string
	// dryRun is whether the operation has a DryRun parameter; the four Assign
	// and Unassign operations do not.
	dryRun bool
	run    func(*API, query.Params) (reply, error)
}

// Actions lists the names of all operations, sorted.
func Actions() []string { return slices.Sorted(maps.Keys(actions())) }

// describe lists the parameters that all Describe operations share.
func describe(more ...string) []string {
	return append(more, "Filter.N.Name", "Filter.N.Value.N", "MaxResults", "NextToken")
}

func actions() map[string]action {
	return map[string]action{
		"AssignPrivateIpAddresses": {run: assignIPv4, params: []string{
			"NetworkInterfaceId", "PrivateIpAddress.N", "SecondaryPrivateIpAddressCount", "AllowReassignment",
			"Ipv4Prefix.N", "Ipv4PrefixCount"}},
		"UnassignPrivateIpAddresses": {run: unassignIPv4, params: []string{
			"NetworkInterfaceId", "PrivateIpAddress.N", "Ipv4Prefix.N"}},
		"AssignIpv6Addresses": {run: assignIPv6, params: []string{
			"NetworkInterfaceId", "Ipv6Addresses.N", "Ipv6AddressCount", "Ipv6Prefix.N", "Ipv6PrefixCount"}},
		"UnassignIpv6Addresses": {run: unassignIPv6, params: []string{
			"NetworkInterfaceId", "Ipv6Addresses.N", "Ipv6Prefix.N"}},

		"DescribeNetworkInterfaces": {run: describeENIs, dryRun: true, params: describe("NetworkInterfaceId.N", "IncludeManagedResources")},
		"DescribeInstances":         {run: describeInstances, dryRun: true, params: describe("InstanceId.N", "IncludeManagedResources")},
		"DescribeSubnets":           {run: describeSubnets, dryRun: true, params: describe("SubnetId.N")},
		"DescribeVpcs":              {run: describeVPCs, dryRun: true, params: describe("VpcId.N")},
		"DescribeNetworkInterfaceAttribute": {run: describeAttribute, dryRun: true, params: []string{
			"NetworkInterfaceId", "Attribute"}},
		"ResetNetworkInterfaceAttribute": {run: resetAttribute, dryRun: true, params: []string{
			"NetworkInterfaceId", "SourceDestCheck"}},
		"DescribeInstanceTypes": {run: describeTypes, dryRun: true,
			params: describe("InstanceType.N", "IncludeUnsupportedInRegion")},

		"GetSubnetCidrReservations": {run: getReservations, dryRun: true, params: describe("SubnetId")},
		"CreateSubnetCidrReservation": {run: createReservation, dryRun: true, params: append(tagged(),
			"SubnetId", "Cidr", "ReservationType", "Description")},
		"DeleteSubnetCidrReservation": {run: deleteReservation, dryRun: true, params: []string{"SubnetCidrReservationId"}},

		"CreateNetworkInterface": {run: createENI, dryRun: true, params: append(tagged(),
			"SubnetId", "Description", "SecurityGroupId.N", "ClientToken", "InterfaceType", "EnablePrimaryIpv6",
			"PrivateIpAddress", "PrivateIpAddresses.N.PrivateIpAddress", "PrivateIpAddresses.N.Primary",
			"SecondaryPrivateIpAddressCount", "Ipv4Prefix.N.Ipv4Prefix", "Ipv4PrefixCount",
			"Ipv6Addresses.N.Ipv6Address", "Ipv6Addresses.N.IsPrimaryIpv6", "Ipv6AddressCount",
			"Ipv6Prefix.N.Ipv6Prefix", "Ipv6PrefixCount")},
		"DeleteNetworkInterface": {run: deleteENI, dryRun: true, params: []string{"NetworkInterfaceId"}},
		"AttachNetworkInterface": {run: attachENI, dryRun: true, params: []string{
			"NetworkInterfaceId", "InstanceId", "DeviceIndex", "NetworkCardIndex"}},
		"DetachNetworkInterface": {run: detachENI, dryRun: true, params: []string{"AttachmentId", "Force"}},
		"ModifyNetworkInterfaceAttribute": {run: modifyENI, dryRun: true, params: []string{
			"NetworkInterfaceId", "Description.Value", "SourceDestCheck.Value", "SecurityGroupId.N",
			"Attachment.AttachmentId", "Attachment.DeleteOnTermination", "EnablePrimaryIpv6"}},

		"CreateTags": {run: createTags, dryRun: true, params: []string{"ResourceId.N", "Tag.N.Key", "Tag.N.Value"}},
		"DeleteTags": {run: deleteTags, dryRun: true, params: []string{"ResourceId.N", "Tag.N.Key", "Tag.N.Value"}},
		"ModifyInstanceMetadataOptions": {run: modifyMetadata, dryRun: true, params: []string{
			"InstanceId", "HttpPutResponseHopLimit", "HttpTokens", "HttpEndpoint"}},
	}
}

func tagged() []string {
	return []string{"TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key", "TagSpecification.N.Tag.N.Value"}
}

// recognise refuses parameters that are not simulated, so that a test never
// passes because a parameter was ignored.
func (a action) recognise(p query.Params) error {
	for _, name := range slices.Sorted(maps.Keys(p.Flat())) {
		shape := query.Shape(name)
		if !slices.Contains(a.params, shape) && !(a.dryRun && shape == "DryRun") {
			return apierr.New("UnknownParameter", "The parameter %s is not recognized", name)
		}
	}
	return nil
}
