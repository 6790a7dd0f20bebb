//go:build lab

package scenario_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// nodeGroup are the settings of the function: approach 1 and 2 of the article,
// worker addresses from the subnet's start and a reservation for pods.
var nodeGroup = []string{
	"NODEGROUP_CLUSTER=lab", "NODEGROUP_NAME=upf",
	`NODEGROUP_NETWORKS=[{"name":"n3","subnets":["subnet-multus"],"securityGroups":["sg-default"]}]`,
}

// joinTimeout is for a busy machine: a worker boots in 20 s on an idle one.
const joinTimeout = 5 * time.Minute

// A worker of an Auto Scaling group boots with eth0 alone. The function answers
// its lifecycle hook once the ENI is attached, the script of the user data brings
// the link up under the name that NADs have, and pods meet over it. It is not
// parallel: it changes which workers there are.
func TestAWorkerOfANodeGroupComesUpWithItsENI(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), joinTimeout)
	defer cancel()
	worker, err := bed.Join()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leaves(t, worker) })
	if err := bed.AwaitNode(ctx, worker, true); err != nil {
		t.Fatal(err)
	}
	if links := linksOf(ctx, t, worker); slices.Contains(links, "eth1") {
		t.Errorf("before its hook is answered the worker has %q", links)
	}
	said := readies(ctx, t, worker)

	event := launchOf(t, bed.Instance(worker))
	out, err := bed.NodeGroup(ctx, nodeGroup, bytes.NewReader(event), "--event", "-")
	t.Logf("nodegroup --event: %s", out)
	if err != nil {
		t.Fatal(err)
	}
	inService(ctx, t, bed.Instance(worker))
	eni := hasFirstFree(t, bed.Instance(worker))
	if count, err := bed.Plug(ctx, worker); err != nil || count != 1 {
		t.Fatalf("plugged %d ENIs, error %v, want 1", count, err)
	}
	if text := <-said; !strings.Contains(text, "eth1 is ready") {
		t.Fatalf("the script says:\n%s", text)
	}
	addressless(ctx, t, worker, eni)

	const namespace = "nodegroup"
	optedIn(t, namespace)
	apply(t, namespace, "static.yaml", "MASTER", "eth1")
	there := "joined-" + worker[len("worker-"):]
	start(t,
		box{namespace: namespace, name: "before-1", networks: static("static", dual(112)...)},
		box{namespace: namespace, name: there, networks: static("static", dual(113)...)})
	before, joined := ready(t, namespace, "before-1"), ready(t, namespace, there)
	t.Cleanup(func() { giveBack(t, before, joined) })
	meet(t, before, joined)
	meet(t, joined, before)
	if owner, _ := bed.Sim().RoutedTo(joined.Networks["net1"][0]); owner != eni.ID {
		t.Errorf("%s is on %s, want the ENI that the function made, %s", joined.Networks["net1"][0], owner, eni.ID)
	}
}

// launchOf is the event of the launch of an instance.
func launchOf(t *testing.T, instance string) []byte {
	t.Helper()
	for _, event := range bed.Sim().Events() {
		if bytes.Contains(event, []byte(instance)) && bytes.Contains(event, []byte("Instance-launch Lifecycle Action")) {
			return event
		}
	}
	t.Fatalf("no event of the launch of %s among %s", instance, bed.Sim().Events())
	return nil
}

// readies runs the user data's script in the worker. What it says comes when it
// ends.
func readies(ctx context.Context, t *testing.T, worker string) <-chan string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "nodegroup", "host", "multus-enis.sh"))
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		var out bytes.Buffer
		err := bed.RunWith(ctx, worker, bytes.NewReader(script), &out, "/usr/bin/env", "ENIS=1=eth1", "/bin/bash", "-s")
		if err != nil {
			fmt.Fprintln(&out, err)
		}
		said <- out.String()
	}()
	return said
}

// inService waits until the group has the instance in service, as its answered
// hook lets it be.
func inService(ctx context.Context, t *testing.T, instance string) {
	t.Helper()
	within(ctx, t, instance+" in service", func(context.Context) error {
		for _, g := range bed.Sim().Groups() {
			for _, m := range g.Members {
				if m.Instance == instance && m.State == "InService" {
					return nil
				}
			}
		}
		return fmt.Errorf("groups %+v", bed.Sim().Groups())
	})
}

// hasFirstFree returns the ENI that the function made, which has the first
// address of the subnet that a worker may have.
func hasFirstFree(t *testing.T, instance string) vpcsim.ENI {
	t.Helper()
	for _, e := range bed.Sim().ENIs() {
		if e.Instance == instance && e.DeviceIndex == 1 {
			if want := netip.MustParseAddr("10.10.1.4"); e.Primary != want || e.Tags["multus-ipmgr.io/network"] != "n3" {
				t.Errorf("the ENI has %s and the tags %v, want %s", e.Primary, e.Tags, want)
			}
			return e
		}
	}
	t.Fatalf("no ENI at index 1 of %s", instance)
	return vpcsim.ENI{}
}

func linksOf(ctx context.Context, t *testing.T, worker string) []string {
	t.Helper()
	var out strings.Builder
	if err := bed.Run(ctx, worker, &out, "/bin/ls", "/sys/class/net"); err != nil {
		t.Fatal(err)
	}
	return strings.Fields(out.String())
}

// addressless holds that the link is up under its alternative name, and that the
// host has no address on it.
func addressless(ctx context.Context, t *testing.T, worker string, eni vpcsim.ENI) {
	t.Helper()
	var out strings.Builder
	if err := bed.Run(ctx, worker, &out, "/sbin/ip", "addr", "show", "dev", "eth1"); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if !strings.Contains(text, eni.MAC) || !strings.Contains(text, ",UP") || !strings.Contains(text, "mtu 9001") || strings.Contains(text, "inet") {
		t.Errorf("want %s up with MTU 9001 and without an address:\n%s", eni.MAC, text)
	}
}

// leaves ends the worker and removes its node, so that nothing waits for it.
func leaves(t *testing.T, worker string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	err := bed.Crash(ctx, worker)
	if gone := kube(t).CoreV1().Nodes().Delete(ctx, worker, metav1.DeleteOptions{}); !apierrors.IsNotFound(gone) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		t.Error(err)
	}
}
