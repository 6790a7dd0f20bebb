package lambdasim_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lambdasim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// nodeGroup is a VPC with a group whose workers get an ENI in each of two Multus
// subnets, of which half is reserved for pods.
const nodeGroup = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/24, zone: us-west-2a}
- {id: subnet-3, cidr: 10.10.3.0/24, zone: us-west-2a}
- {id: subnet-6, cidr: 10.10.6.0/24, zone: us-west-2a}
reservations:
- {subnet: subnet-3, cidr: 10.10.3.128/25, type: explicit}
- {subnet: subnet-6, cidr: 10.10.6.128/25, type: explicit}
securityGroups: [{id: sg-1, name: multus, vpc: vpc-1}]
groups:
- name: upf-group
  type: m5.xlarge
  subnets: [subnet-mgmt]
  max: 8
  tags: {multus-ipmgr.io/cluster: telco, multus-ipmgr.io/nodegroup: upf}
  hooks: [{name: multus-ipmgr/telco/upf, transition: launching, heartbeat: 300s}]
settings: {pendingTime: 200ms, attachTime: 100ms, describeLag: 1s, describeJitter: true}
`

// realFunction is cmd/nodegroup in a simulated AWS.
type realFunction struct {
	*lambdasim.Function
	sim *vpcsim.Sim
	log *bytes.Buffer
}

// startNodeGroup builds the function and gives it a simulator for AWS. Its
// minutes are of two seconds.
func startNodeGroup(t *testing.T) *realFunction {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "nodegroup")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/nodegroup")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	topology, err := vpcsim.Load(strings.NewReader(nodeGroup))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sim.Listen(t.Context(), vpcsim.Addresses{EC2: "127.0.0.1:0", AutoScaling: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &realFunction{sim: sim, log: &bytes.Buffer{}}
	t.Cleanup(func() { // after its processes have ended
		if t.Failed() {
			t.Logf("the function wrote\n%s", f.log)
		}
	})
	f.Function = start(t, func(o *lambdasim.Options) {
		o.Command, o.Speed, o.Log = []string{bin}, 30, f.log
		o.Env = []string{
			"AWS_REGION=us-west-2", "AWS_ACCESS_KEY_ID=" + vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + vpcsim.SecretAccessKey,
			"AWS_ENDPOINT_URL_EC2=" + srv.EC2URL, "AWS_ENDPOINT_URL_AUTO_SCALING=" + srv.AutoScalingURL,
			"NODEGROUP_NAME=upf", "NODEGROUP_CLUSTER=telco",
			`NODEGROUP_NETWORKS=[{"name":"n3","subnets":["subnet-3"],"securityGroups":["sg-1"]},{"name":"n6","subnets":["subnet-6"],"securityGroups":["sg-1"]}]`,
		}
	})
	sim.Subscribe(func(event []byte) { _ = f.Invoke(event) }) // what is refused is for the sweep
	f.Every(time.Minute, []byte(`{"sweep":true}`))
	return f
}

// inService counts the workers that entered service.
func (f *realFunction) inService() (n int) {
	for _, m := range f.sim.Groups()[0].Members {
		if m.State == "InService" {
			n++
		}
	}
	return n
}

// enis lists what the workers have besides their first ENI, and complains of
// what is left over, in a reservation, or there twice.
func (f *realFunction) enis(t *testing.T) []string {
	t.Helper()
	reserved := []netip.Prefix{netip.MustParsePrefix("10.10.3.128/25"), netip.MustParsePrefix("10.10.6.128/25")}
	var list []string
	for _, e := range f.sim.ENIs() {
		network := e.Tags["multus-ipmgr.io/network"]
		if network == "" {
			continue
		}
		if e.Instance == "" {
			t.Errorf("%s of %s is left over", e.ID, network)
		}
		if slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(e.Primary) }) {
			t.Errorf("%s has %s of the pods' range", e.ID, e.Primary)
		}
		list = append(list, fmt.Sprintf("%s %s at %d", e.Instance, network, e.DeviceIndex))
	}
	slices.Sort(list)
	return list
}

// TestWorkersGetTheirENIsWhateverHappensToTheFunction launches workers while
// events are doubled and lost, answers are lost, and the function is killed: in
// the end each worker has one ENI of each network, and none is left over.
func TestWorkersGetTheirENIsWhateverHappensToTheFunction(t *testing.T) {
	const workers = 8
	f := startNodeGroup(t)
	for _, err := range []error{
		f.sim.Set(`{"eventDuplicates":0.5,"eventLoss":0.3}`),
		f.sim.Inject(
			vpcsim.Fault{Action: "CreateNetworkInterface", Lose: true, Count: 2},
			vpcsim.Fault{Action: "AttachNetworkInterface", Lose: true},
			vpcsim.Fault{Action: "ModifyNetworkInterfaceAttribute", Code: "InternalError", Count: 2},
			vpcsim.Fault{Action: "CompleteLifecycleAction", Lose: true},
			vpcsim.Fault{Action: "DescribeInstances", Code: "RequestLimitExceeded"},
		),
		f.sim.SetDesired("upf-group", workers),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	killed := 0
	programs.Within(t, 2*time.Minute, "all workers are in service", func() error {
		if killed == 0 && len(f.sim.Calls(false)) > 20 {
			killed = f.Kill()
		}
		if n := f.inService(); n != workers {
			return fmt.Errorf("%d of %d: %+v", n, workers, f.sim.Groups())
		}
		return nil
	})
	wait(t, f.Function)
	var want []string
	for _, m := range f.sim.Groups()[0].Members {
		want = append(want, m.Instance+" n3 at 1", m.Instance+" n6 at 2")
	}
	slices.Sort(want)
	if got := f.enis(t); !slices.Equal(got, want) {
		t.Errorf("the ENIs are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Contains(results(f.Function), lambdasim.Died) {
		t.Error("no try died: the function was to be killed at its work")
	}
	if n := len(f.DeadLetters()); n > 0 {
		t.Errorf("%d dead letters: %q", n, f.Tries())
	}
	if err := f.sim.SetDesired("upf-group", 0); err != nil {
		t.Fatal(err)
	}
	programs.Within(t, time.Minute, "the ENIs end with their workers", func() error {
		if left := f.enis(t); len(left) > 0 {
			return fmt.Errorf("left are %q", left)
		}
		return nil
	})
}
