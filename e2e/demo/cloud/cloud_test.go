package cloud_test

import (
	"context"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cloud"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// TestMain plays vpcsim when it is started as the program of a Cloud.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "--topology" {
		os.Exit(simulate(os.Args[1:]))
	}
	os.Exit(netlab.Run(m.Run))
}

func simulate(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return vpcsim.Command(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

const topology = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/24, zone: us-west-2a}
- {id: subnet-multus, cidr: 10.10.1.0/24, zone: us-west-2a}
instances:
- id: i-worker1
  type: m5.xlarge
  zone: us-west-2a
  enis:
  - {id: eni-0, subnet: subnet-mgmt, deviceIndex: 0, mac: "02:00:00:00:01:00", primary: 10.10.12.11}
  - {id: eni-1, subnet: subnet-multus, deviceIndex: 1, mac: "02:00:00:00:01:01", primary: 10.10.1.11, secondaries: [10.10.1.80]}
`

func parse(t *testing.T, text string) cloud.Topology {
	t.Helper()
	parsed, err := cloud.ParseTopology([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// start starts a cloud in a lab that has the addresses it listens on.
func start(t *testing.T, program string) (*cloud.Cloud, error) {
	t.Helper()
	lab, err := netlab.New(netlab.Options{})
	if err != nil {
		t.Skip(err) // says what to do
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, a := range []string{"10.10.12.2/32", "10.10.12.11/32"} {
		if err := lab.AddAddr(netip.MustParsePrefix(a)); err != nil {
			t.Fatal(err)
		}
	}
	return cloud.Start(t.Context(), t.TempDir(), program, parse(t, topology), netip.MustParseAddr("10.10.12.2"))
}

func TestCloudShowsWhatTheSimulatorHas(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := start(t, self)
	if err != nil {
		t.Fatal(err)
	}
	if c.EC2 != "http://10.10.12.2" {
		t.Errorf("EC2 is at %s", c.EC2)
	}
	enis, err := c.ENIs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := cloud.ENI{
		ID: "eni-1", Instance: "i-worker1", MAC: "02:00:00:00:01:01", DeviceIndex: 1,
		Primary: netip.MustParseAddr("10.10.1.11"), Secondaries: []netip.Addr{netip.MustParseAddr("10.10.1.80")}, IPv6: []netip.Addr{},
	}
	if diff := cmp.Diff(want, enis[1], cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("ENI (-want +got):\n%s", diff)
	}
	routes, err := c.Routes(t.Context())
	if err != nil || routes["10.10.1.80"] != "eni-1" {
		t.Errorf("routes %v, %v", routes, err)
	}
	if err := c.Set(t.Context(), map[string]any{"latency": "1ms"}); err != nil {
		t.Error(err)
	}
	if err := c.Set(t.Context(), map[string]any{"no-such": 1}); err == nil || !strings.Contains(err.Error(), "no-such") {
		t.Errorf("an unknown setting: %v", err)
	}
	if err := c.Forget(t.Context()); err != nil {
		t.Error(err)
	}
	if calls, err := c.Calls(t.Context()); err != nil || len(calls) > 0 {
		t.Errorf("calls %v, %v", calls, err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

func TestCloudThatDoesNotServeIsReported(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"a program that ends":           {"echo no such topology >&2; exit 2", "no such topology"},
		"a program that says otherwise": {"echo hello; exec sleep 60", `"hello", want ready`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "vpcsim")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+test.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := start(t, path); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Start: %v, want %q", err, test.want)
			}
		})
	}
}

func TestBadTopologiesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no YAML":                 "{",
		"an address that is none": "instances: [{enis: [{primary: x}, {}]}]",
		"a worker with one ENI":   "instances: [{id: i-1, enis: [{}]}]",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := cloud.ParseTopology([]byte(text)); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}
