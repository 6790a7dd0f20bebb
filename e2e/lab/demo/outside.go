package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/bystander"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

const (
	outsideAddress = "10.10.1.30/24"
	// outsideDevice is a free place on worker-2, whose kernel has no cable there.
	outsideDevice  = 7
	outsideTimeout = time.Minute
)

// outside joins a host of the VPC that is no worker, on an ENI of its own.
func (d *demo) outside(ctx context.Context) (*bystander.Host, error) {
	ctx, cancel := context.WithTimeout(ctx, outsideTimeout)
	defer cancel()
	address := netip.MustParsePrefix(outsideAddress)
	cloud := ec2.New(ec2.Options{
		Region: "us-west-2", BaseEndpoint: aws.String(d.bed.EC2()),
		Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
	})
	created, err := cloud.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{
		SubnetId: aws.String("subnet-multus"), PrivateIpAddress: aws.String(address.Addr().String()),
	})
	if err != nil {
		return nil, err
	}
	eni := created.NetworkInterface.NetworkInterfaceId
	if _, err := cloud.AttachNetworkInterface(ctx, &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: eni, InstanceId: aws.String("i-worker2"), DeviceIndex: aws.Int32(outsideDevice),
	}); err != nil {
		return nil, err
	}
	mac, err := net.ParseMAC(aws.ToString(created.NetworkInterface.MacAddress))
	if err != nil {
		return nil, err
	}
	config := bystander.Config{Socket: d.bed.Cable(*eni), MAC: mac, Addresses: []netip.Prefix{address}}
	for {
		_, routed := d.bed.Sim().RoutedTo(address.Addr())
		host, err := bystander.Join(ctx, config)
		switch {
		case err == nil && routed:
			return host, nil
		case err == nil:
			err = host.Close()
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return nil, fmt.Errorf("join the VPC at %s: %w: %w", address, ctx.Err(), err)
		}
	}
}
