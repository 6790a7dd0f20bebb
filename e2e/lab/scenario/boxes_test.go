//go:build lab

package scenario_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// device is the workers' eth4, which scenarios want for themselves: host-device
// takes it away from all others.
var device sync.Mutex

// shared is the workers' eth3, which has the subnet of eth1. A scenario that
// wants both mutexes takes device first.
var shared sync.Mutex

// box is a pod of the test image.
type box struct {
	namespace string
	// name ends in the number of the worker: upf-1 runs on worker-1.
	name string
	// networks is Multus's annotation.
	networks string
	// mode is init by default.
	mode string
	// ask is pinged by the application before all else.
	ask netip.Addr
}

// static is the annotation of a pod that has addresses of its own choice.
func static(network string, addresses ...netip.Prefix) string {
	text, err := json.Marshal([]map[string]any{{"name": network, "ips": addresses}})
	if err != nil {
		panic(err) // strings only
	}
	return string(text)
}

// dual returns the addresses of both families that end in the same number, in
// the subnet of eth1: .72 and ::72.
func dual(last int) []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.10.1.%d/24", last)), netip.MustParsePrefix(fmt.Sprintf("2600:1f13:0:1::%x/64", 0x80+last-64)),
	}
}

// start makes pods.
func start(t *testing.T, boxes ...box) {
	t.Helper()
	for _, b := range boxes {
		mode, ask := b.mode, ""
		if mode == "" {
			mode = "init"
		}
		if b.ask.IsValid() {
			ask = b.ask.String()
		}
		apply(t, b.namespace, "pod.yaml", "NAME", b.name, "NETWORKS", b.networks, "MODE", mode,
			"WORKER", "worker-"+b.name[len(b.name)-1:], "ASK", ask)
	}
}

// meet holds that a pod reaches the other one by all its Multus addresses, of
// both families.
func meet(t *testing.T, from, to testbed.Pod) {
	t.Helper()
	if len(to.Networks["net1"]) != 2 {
		t.Errorf("%s has %v, want an address of each family", to.Name, to.Networks)
	}
	for _, addr := range to.Networks["net1"] {
		if !ping(t, from.Address, addr) {
			t.Errorf("%s gets no echo from %s of %s, which the VPC delivers to %q; drops: %+v",
				from.Name, addr, to.Name, owner(addr), bed.Sim().DataPlane().Status().Drops)
		}
	}
}

// beginning is what an application knows of its start.
type beginning struct {
	Began    time.Time
	Answered bool
	Error    string
}

func began(t *testing.T, pod testbed.Pod) (b beginning) {
	t.Helper()
	code, text := act(t, pod.Address, "/start", nil)
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&b); code != http.StatusOK || err != nil {
		t.Fatalf("start of %s: %d %s %v", pod.Name, code, text, err)
	}
	return b
}
