//go:build lab

package scenario_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/bystander"
)

const (
	outsideIPv4 = "10.10.1.30"
	outsideIPv6 = "2600:1f13:0:1::30"
	// outsideDevice is a free place on worker-1, whose kernel has no cable
	// there. A crash of the worker does not touch it.
	outsideDevice = 7
	outsideWait   = time.Minute
)

// outside joins a host of the VPC that is no worker: a third place to measure
// from. It leaves at the test's end.
func outside(t *testing.T) *bystander.Host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), outsideWait)
	defer cancel()
	created, err := cloud().CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{
		SubnetId: aws.String("subnet-multus"), PrivateIpAddress: aws.String(outsideIPv4),
		Ipv6Addresses: []types.InstanceIpv6Address{{Ipv6Address: aws.String(outsideIPv6)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	eni := aws.ToString(created.NetworkInterface.NetworkInterfaceId)
	t.Cleanup(func() { leave(t, eni) })
	if _, err := cloud().AttachNetworkInterface(ctx, &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: &eni, InstanceId: aws.String("i-worker1"), DeviceIndex: aws.Int32(outsideDevice),
	}); err != nil {
		t.Fatal(err)
	}
	mac, err := net.ParseMAC(aws.ToString(created.NetworkInterface.MacAddress))
	if err != nil {
		t.Fatal(err)
	}
	config := bystander.Config{Socket: bed.Cable(eni), MAC: mac, Addresses: []netip.Prefix{
		netip.PrefixFrom(netip.MustParseAddr(outsideIPv4), 24), netip.PrefixFrom(netip.MustParseAddr(outsideIPv6), 64),
	}}
	var host *bystander.Host
	within(ctx, t, "the cable of "+eni, func(ctx context.Context) (err error) {
		host, err = bystander.Join(ctx, config)
		return err
	})
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	routed(t, netip.MustParseAddr(outsideIPv4), true)
	routed(t, netip.MustParseAddr(outsideIPv6), true)
	return host
}

// leave detaches an ENI and deletes it.
func leave(t *testing.T, eni string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), outsideWait)
	defer cancel()
	described, err := cloud().DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{eni}})
	if err != nil {
		t.Error(err)
		return
	}
	if at := described.NetworkInterfaces[0].Attachment; at != nil {
		if _, err := cloud().DetachNetworkInterface(ctx, &ec2.DetachNetworkInterfaceInput{AttachmentId: at.AttachmentId}); err != nil {
			t.Error(err)
		}
	}
	within(ctx, t, eni+" is deleted", func(ctx context.Context) error {
		_, err := cloud().DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &eni})
		return err
	})
}
