package ec2api

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
)

// golden returns the folder of request snapshots that AWS ships with the EC2
// client: one request of each operation with every parameter set.
func golden(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/aws/aws-sdk-go-v2/service/ec2").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "request_snapshot")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the module cache has no request snapshots: %v", err)
	}
	return dir
}

// snapshot returns the body of one golden request.
func snapshot(t *testing.T, dir, action string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, action+".request.snap"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}

func TestGoldenRequestsAreParsed(t *testing.T) {
	dir := golden(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.request.snap"))
	if err != nil || len(files) < 500 {
		t.Fatalf("%d snapshots, %v", len(files), err)
	}
	for _, file := range files {
		action := strings.TrimSuffix(filepath.Base(file), ".request.snap")
		p, err := query.ParseQuery(snapshot(t, dir, action))
		if err != nil || p["Action"] != action || p["Version"] != Version {
			t.Errorf("%s: got action %q, version %q, %v", action, p["Action"], p["Version"], err)
		}
	}
}

// TestParametersExistInAWS proves that the simulator accepts no parameter that
// EC2 does not have, and that it knows which operations have a DryRun.
func TestParametersExistInAWS(t *testing.T) {
	dir := golden(t)
	for _, name := range Actions() {
		t.Run(name, func(t *testing.T) {
			p, err := query.ParseQuery(snapshot(t, dir, name))
			if err != nil {
				t.Fatal(err)
			}
			shapes := map[string]bool{}
			for parameter := range p {
				shapes[query.Shape(parameter)] = true
			}
			act := actions()[name]
			for _, shape := range act.params {
				if !shapes[shape] {
					t.Errorf("EC2 has no parameter %s", shape)
				}
			}
			if act.dryRun != shapes["DryRun"] {
				t.Errorf("dryRun is %v, EC2 has it: %v", act.dryRun, shapes["DryRun"])
			}
		})
	}
}

func TestGoldenRequestsReadAsStructures(t *testing.T) {
	dir := golden(t)
	read := func(action string) query.Params {
		p, err := query.ParseQuery(snapshot(t, dir, action))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	assign := read("AssignPrivateIpAddresses")
	if diff := cmp.Diff([]string{"__Member__", "__Member__"}, assign.List("PrivateIpAddress")); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
	if allow, err := assign.Is("AllowReassignment"); !allow || err != nil {
		t.Errorf("AllowReassignment: %v, %v", allow, err)
	}
	if n, err := assign.Int("SecondaryPrivateIpAddressCount"); err != nil || *n != 1 {
		t.Errorf("SecondaryPrivateIpAddressCount: %v, %v", n, err)
	}
	filters := read("DescribeNetworkInterfaces").Each("Filter")
	want := []query.Params{
		{"Name": "__Name__", "Value.1": "__Member__", "Value.2": "__Member__"},
		{"Name": "__Name__", "Value.1": "__Member__", "Value.2": "__Member__"},
	}
	if diff := cmp.Diff(want, filters); diff != "" {
		t.Errorf("filters (-want +got)\n%s", diff)
	}
	create := read("CreateNetworkInterface")
	if diff := cmp.Diff(map[string]string{"__Key__": "__Value__"}, create.Each("TagSpecification")[0].Tags("Tag")); diff != "" {
		t.Errorf("tags (-want +got)\n%s", diff)
	}
	if got := len(create.Each("PrivateIpAddresses")); got != 2 {
		t.Errorf("%d private addresses, want 2", got)
	}
	if got := create.List("SecurityGroupId"); !slices.Equal(got, []string{"__Member__", "__Member__"}) {
		t.Errorf("security groups %q", got)
	}
}
