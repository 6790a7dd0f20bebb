package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/bystander"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

const (
	// outsideDevice is a free place on an instance, whose kernel has no cable
	// there: a crash of the worker does not touch it.
	outsideDevice = 7
	outsideSubnet = "subnet-multus"
	outsideRetry  = 100 * time.Millisecond
	// outsideTimeout is for a busy machine: it takes a second.
	outsideTimeout = time.Minute
)

// Cloud returns a client of the lab's EC2.
func (l *Lab) Cloud() *awsec2.Client {
	return awsec2.New(awsec2.Options{
		Region: l.region(), BaseEndpoint: aws.String(l.EC2()),
		Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
	})
}

// Outside is a host of the VPC that is not a worker, with the ENI it is on.
type Outside struct {
	*bystander.Host
	lab *Lab
	eni string
}

// JoinOutside joins such a host on an ENI in eth1's subnet, which counts as an
// instance's, and returns once all its addresses, an IPv4 one first, are routed.
func (l *Lab) JoinOutside(ctx context.Context, instance string, addresses ...netip.Prefix) (*Outside, error) {
	ctx, cancel := context.WithTimeout(ctx, outsideTimeout)
	defer cancel()
	o := &Outside{lab: l}
	config, err := o.create(ctx, addresses)
	if err == nil {
		_, err = l.Cloud().AttachNetworkInterface(ctx, &awsec2.AttachNetworkInterfaceInput{
			NetworkInterfaceId: &o.eni, InstanceId: &instance, DeviceIndex: aws.Int32(outsideDevice),
		})
	}
	if err == nil {
		err = retry(ctx, func() error { return o.join(ctx, config) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join the VPC at %s: %w", addresses, err), o.Leave(context.WithoutCancel(ctx)))
	}
	return o, nil
}

// create makes the ENI.
func (o *Outside) create(ctx context.Context, addresses []netip.Prefix) (bystander.Config, error) {
	input := &awsec2.CreateNetworkInterfaceInput{SubnetId: aws.String(outsideSubnet)}
	for _, a := range addresses {
		if a.Addr().Is4() {
			input.PrivateIpAddress = aws.String(a.Addr().String())
		} else {
			input.Ipv6Addresses = append(input.Ipv6Addresses, types.InstanceIpv6Address{Ipv6Address: aws.String(a.Addr().String())})
		}
	}
	created, err := o.lab.Cloud().CreateNetworkInterface(ctx, input)
	if err != nil {
		return bystander.Config{}, err
	}
	o.eni = aws.ToString(created.NetworkInterface.NetworkInterfaceId)
	mac, err := net.ParseMAC(aws.ToString(created.NetworkInterface.MacAddress))
	return bystander.Config{Socket: o.lab.Cable(o.eni), MAC: mac, Addresses: addresses}, err
}

// join takes the cable, which comes a moment after the ENI, and looks whether
// the addresses are routed.
func (o *Outside) join(ctx context.Context, config bystander.Config) (err error) {
	if o.Host == nil {
		if o.Host, err = bystander.Join(ctx, config); err != nil {
			return err
		}
	}
	for _, a := range config.Addresses {
		if _, ok := o.lab.Sim().RoutedTo(a.Addr()); !ok {
			return fmt.Errorf("%s is not routed", a.Addr())
		}
	}
	return nil
}

// Leave ends the host and deletes its ENI.
func (o *Outside) Leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, outsideTimeout)
	defer cancel()
	var errs []error
	if o.Host != nil {
		errs = append(errs, o.Close())
	}
	if o.eni == "" {
		return errors.Join(errs...)
	}
	cloud := o.lab.Cloud()
	described, err := cloud.DescribeNetworkInterfaces(ctx, &awsec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{o.eni}})
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if at := described.NetworkInterfaces[0].Attachment; at != nil {
		_, err := cloud.DetachNetworkInterface(ctx, &awsec2.DetachNetworkInterfaceInput{AttachmentId: at.AttachmentId})
		errs = append(errs, err)
	}
	return errors.Join(append(errs, retry(ctx, func() error {
		_, err := cloud.DeleteNetworkInterface(ctx, &awsec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &o.eni})
		return err
	}))...)
}

// retry tries until try returns nil or ctx ends.
func retry(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(outsideRetry):
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), err)
		}
	}
}
