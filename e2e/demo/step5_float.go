package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/podrun"
)

// floating is the address that the pods hand to each other, as keepalived
// would add it.
const floating = "10.10.1.120/32"

const (
	readyTimeout = 30 * time.Second
	stopGrace    = 5 * time.Second
)

// peer is one of two pods that share the floating address.
type peer struct {
	*placed

	sidecar *podrun.Container
}

// float starts two pods with sidecars and moves the address between them.
func (d *demo) float(ctx context.Context) error {
	peers, err := d.startPeers(ctx)
	if err != nil {
		return err
	}
	address := netip.MustParsePrefix(floating)
	d.tell.Say("%s leaves net1 of one pod and is added to the other's; from then on it takes until:", floating)
	var moves []move
	for i := range d.moves + 1 {
		m, err := d.move(ctx, address, peers[(i+1)%2], peers[i%2], i == 0)
		if err != nil {
			return fmt.Errorf("move %d of %s: %w", i, address, err)
		}
		moves = append(moves, m)
	}
	d.tell.Table([]string{"", "", "EC2 GETS THE CALL", "THE VPC DELIVERS THERE", "ipmgr ready SAYS YES"}, moveRows(moves))
	d.tell.Holds("each move was one call to EC2; then the new worker's ENI held the address and no other did")
	return d.stopPeers(peers)
}

// startPeers creates the pods and starts their sidecars, one per worker.
func (d *demo) startPeers(ctx context.Context) ([]peer, error) {
	deployment, err := d.cluster.Deploy(ctx, sessionYAML)
	if err != nil {
		return nil, err
	}
	pods, err := d.replicas(ctx, deployment)
	if err != nil {
		return nil, err
	}
	d.tell.Say("Deployment %s, with the annotation multus-ipmgr.io/mode: sidecar, gets a native sidecar:", deployment.Name)
	d.tell.Show(from(sessionYAML, "      annotations:"))
	if err := native(pods); err != nil {
		return nil, err
	}
	placed, err := d.spread(ctx, pods)
	if err != nil {
		return nil, err
	}
	var peers []peer
	for _, p := range placed {
		sidecar, err := d.run(ctx, p)
		if err != nil {
			return nil, err
		}
		peers = append(peers, peer{p, sidecar})
	}
	return peers, d.awaitReady(ctx, peers)
}

// native verifies that the kubelet holds the application back for the sidecar.
func native(pods []*corev1.Pod) error {
	for _, pod := range pods {
		c := pod.Spec.InitContainers[0]
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways || c.StartupProbe == nil {
			return fmt.Errorf("pod %s: the container %s is no native sidecar with a startup probe", pod.Name, c.Name)
		}
	}
	return nil
}

// awaitReady runs the startup probes until they succeed.
func (d *demo) awaitReady(ctx context.Context, peers []peer) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	began := time.Now()
	for _, p := range peers {
		if err := p.sidecar.Started(ctx); err != nil {
			return fmt.Errorf("sidecar of pod %s: %w; its log:\n%s", p.pod.Name, err, p.sidecar.Log())
		}
	}
	d.tell.Say("%s on %s and %s on %s: the startup probe (ipmgr ready, once a second) succeeds after %s",
		peers[0].pod.Name, peers[0].worker.Name(), peers[1].pod.Name, peers[1].worker.Name(), round(time.Since(began)))
	return nil
}

// stopPeers ends the sidecars as the kubelet does.
func (d *demo) stopPeers(peers []peer) error {
	for _, p := range peers {
		began := time.Now()
		if exit := p.sidecar.Stop(stopGrace); exit.Code != 0 {
			return fmt.Errorf("sidecar of pod %s: SIGTERM ended it with %d: %s", p.pod.Name, exit.Code, exit.Message)
		}
		d.tell.Say("SIGTERM ends the sidecar of %s with 0 after %s", p.pod.Name, round(time.Since(began)))
	}
	return nil
}

// moveRows lists the first moves, and the median of all.
func moveRows(moves []move) [][]string {
	const shown = 3
	var rows [][]string
	for _, m := range moves[:shown] {
		rows = append(rows, []string{m.from, m.to, round(m.called), round(m.routed), round(m.ready)})
	}
	return append(rows,
		[]string{"median of", strconv.Itoa(len(moves)),
			round(median(moves, func(m move) time.Duration { return m.called })),
			round(median(moves, func(m move) time.Duration { return m.routed })),
			round(median(moves, func(m move) time.Duration { return m.ready }))},
	)
}
