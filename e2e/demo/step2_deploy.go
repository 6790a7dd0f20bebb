package main

import (
	"context"
	"net/netip"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// firstEth0 is the first pod's address on eth0.
const firstEth0 = "10.10.12.21"

// deploy applies what users apply.
func (d *demo) deploy(ctx context.Context) error {
	if err := d.cluster.Apply(ctx, networkYAML); err != nil {
		return err
	}
	config, err := d.cluster.Network(ctx, appNamespace, networkName)
	if err != nil {
		return err
	}
	if d.ipam, err = newRanges(config, netip.MustParseAddr(firstEth0)); err != nil {
		return err
	}
	d.tell.Say("namespace %s has the label multus-ipmgr.io/inject=enabled", appNamespace)
	d.tell.Say("NetworkAttachmentDefinition %s: ipvlan over eth1, whereabouts 10.10.1.80-10.10.1.95 and IPv6", networkName)
	if d.upf, err = d.cluster.Deploy(ctx, upfYAML); err != nil {
		return err
	}
	d.tell.Say("Deployment %s, 2 replicas:", d.upf.Name)
	d.tell.Show(from(upfYAML, "  template:"))
	if err := d.cluster.AwaitAdmission(ctx, d.upf); err != nil {
		return err
	}
	d.pods, err = d.replicas(ctx, d.upf)
	return err
}

// replicas creates the pods of a Deployment.
func (d *demo) replicas(ctx context.Context, of *appsv1.Deployment) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	for range *of.Spec.Replicas {
		pod, err := d.cluster.CreatePod(ctx, of.Namespace, of)
		if err != nil {
			return nil, err
		}
		pods = append(pods, pod)
	}
	return pods, nil
}
