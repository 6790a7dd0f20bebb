package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cloud"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cluster"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

// ec2Address is where the EC2 API is, as an interface endpoint of a VPC would
// be in the management subnet.
const ec2Address = "10.10.12.2"

// Names that the manifests give.
const (
	appNamespace = "core"
	networkName  = "signalling"
)

// webhookSettings are what an installation here chooses: the image that the
// manifests name, which addresses are the pods', and where EC2 and the worker's
// metadata service are. The last two need no setting in AWS.
func webhookSettings(ec2 string) []string {
	return []string{
		"--image=multus-ipmgr/ipmgr:v0.1.0",
		"--env=IPMGR_POOLS=10.10.1.64/26,2600:1f13:0:1::80/124",
		"--env=AWS_ENDPOINT_URL_EC2=" + ec2,
		"--env=AWS_EC2_METADATA_SERVICE_ENDPOINT=http://$(IPMGR_HOST_IP)",
	}
}

// start brings up everything that is there before the first pod.
func (d *demo) start(ctx context.Context) error {
	if err := d.startCloud(ctx); err != nil {
		return err
	}
	if err := d.startCluster(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := d.cluster.Install(ctx, d.program("webhook"), webhookSettings(d.cloud.EC2)...); err != nil {
		return fmt.Errorf("install the webhook: %w", err)
	}
	d.tell.Say("webhook is ready after %s, and registered by config/cert-manager/mutating.yaml", round(time.Since(began)))
	return d.showWorkers()
}

func (d *demo) program(name string) string { return filepath.Join(d.dir, "bin", name) }

// startCloud opens the lab and starts vpcsim in it.
func (d *demo) startCloud(ctx context.Context) (err error) {
	if d.topology, err = cloud.ParseTopology(topologyYAML); err != nil {
		return err
	}
	if d.lab, err = netlab.New(netlab.Options{}); err != nil {
		return err
	}
	d.later(d.lab.Close)
	own := []netip.Addr{netip.MustParseAddr(ec2Address)}
	for _, i := range d.topology.Instances {
		own = append(own, i.Eth0())
	}
	for _, a := range own {
		if err := d.lab.AddAddr(netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
	}
	if d.cloud, err = cloud.Start(ctx, d.dir, d.program("vpcsim"), d.topology, own[0]); err != nil {
		return err
	}
	d.later(d.cloud.Stop)
	d.tell.Say("vpcsim is EC2 and IMDS; a call to EC2 takes %s, about as in AWS", round(d.ec2Latency))
	return d.cloud.Set(ctx, map[string]any{"latency": d.ec2Latency.String()})
}

// startCluster starts the API server, which learns of the workers.
func (d *demo) startCluster(ctx context.Context) (err error) {
	began := time.Now()
	if d.cluster, err = cluster.Start(ctx, d.dir, os.Stderr); err != nil {
		return err
	}
	d.later(d.cluster.Stop)
	for _, i := range d.topology.Instances {
		if err := d.cluster.AddNode(ctx, i.Name(), i.Eth0()); err != nil {
			return err
		}
	}
	d.tell.Say("etcd and kube-apiserver %s are ready after %s", d.cluster.Version(), round(time.Since(began)))
	return nil
}

func (d *demo) showWorkers() error {
	var rows [][]string
	for _, i := range d.topology.Instances {
		id, mac := i.Multus()
		rows = append(rows, []string{i.Name(), i.Type, i.Eth0().String(), id, mac, "10.10.1.0/24, 2600:1f13:0:1::/64"})
	}
	d.tell.Table([]string{"WORKER", "TYPE", "eth0", "eth1 IS ENI", "MAC", "SUBNET FOR MULTUS"}, rows)
	d.tell.Say("10.10.1.64/26 is a subnet CIDR reservation: EC2 gives none of it to workers")
	return nil
}
