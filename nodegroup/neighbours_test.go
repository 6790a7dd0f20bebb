package nodegroup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// TestTwoClustersWithANodeGroupOfOneName: the function of one touches nothing of
// the other's, neither by events nor by sweeps.
func TestTwoClustersWithANodeGroupOfOneName(t *testing.T) {
	inGroups(t, scalingGroup()+groupOf("lab", "upf"), func(f *fleet) {
		f.configure(func(s *spec.Settings) { s.SweepAge = 0 })
		f.sweepEachMinute()
		f.resize("lab-upf", 3)
		f.wait(3 * time.Minute)
		if _, _, writes := f.callsOf(); !slices.Equal(writes, []string{"SetDesiredCapacity"}) {
			f.t.Errorf("for another cluster's workers it writes %v", writes)
		}
		// the other cluster's function
		f.configure(func(s *spec.Settings) { s.Cluster, s.Hooks = "lab", []string{"multus-ipmgr/lab/upf"} })
		for _, data := range f.sim.Events() {
			_ = f.invoke(data)
		}
		f.wait(2 * time.Minute)
		f.configure(func(s *spec.Settings) { s.Cluster, s.Hooks = "telco", []string{hook} })
		f.resize(asg, 3)
		f.wait(3 * time.Minute)
		f.wantStates(slices.Repeat([]string{"InService"}, 6)...)
		for _, e := range f.sim.ENIs() {
			owner := strings.TrimSuffix(e.Tags["aws:autoscaling:groupName"], "-upf")
			if cluster := e.Tags[nodegroup.TagCluster]; cluster != "" && !slices.Contains(f.ids(cluster+"-upf"), e.Instance) {
				f.t.Errorf("ENI %s of cluster %s is on %s %s", e.ID, cluster, e.Instance, owner)
			}
		}
		for _, id := range f.ids("lab-upf") {
			if got := f.attached(id); len(got) != 2 {
				f.t.Errorf("%s has %q", id, got)
			}
		}
	})
}

// TestAGroupWhoseTagsAreNotPropagated: workers without the tags are not touched.
func TestAGroupWhoseTagsAreNotPropagated(t *testing.T) {
	inGroups(t, scalingGroup("tagsNotPropagated: [multus-ipmgr.io/cluster]"), func(f *fleet) {
		f.resize(asg, 1)
		f.wait(30 * time.Second)
		f.wantOutcomes("WAIT settings")
		if enis := f.nodeGroupENIs(); len(enis) > 0 {
			f.t.Errorf("there are ENIs: %v", enis)
		}
	})
}

// TestTwoGroupsInOneSubnet launches 25 workers in each of two node groups at
// once: neither waits for the addresses that the other takes.
func TestTwoGroupsInOneSubnet(t *testing.T) {
	inGroups(t, scalingGroup()+groupOf("telco", "amf"), func(f *fleet) {
		f.set(`{"latency":"50ms","throttle":true}`)
		other := &fleet{rig: f.rig, handler: f.handler, settings: f.settings}
		other.settings.Name, other.settings.Hooks = "amf", []string{"multus-ipmgr/telco/amf"}
		f.sim.Subscribe(func(data []byte) { f.running.Go(func() { _ = other.function().Handle(f.t.Context(), data) }) })
		f.resize(asg, 25)
		f.resize("telco-amf", 25)
		f.wait(3 * time.Minute)
		f.wantStates(slices.Repeat([]string{"InService"}, 50)...)
		creates := 0
		for _, call := range f.actions() {
			if strings.HasPrefix(call, "CreateNetworkInterface ") && !strings.HasSuffix(call, "RequestLimitExceeded") {
				creates++
			}
		}
		f.wantFirstAddresses(50)
		if perENI := float64(creates) / 100; perENI > 1.3 {
			f.t.Errorf("%.2f requests for each ENI, want at most 1.3", perENI)
		}
	})
}

func TestTwoNetworksInOneSubnet(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.configure(func(s *spec.Settings) {
			s.Networks = networks(func(n []spec.Network) { n[1].Subnets = []string{"subnet-3a", "subnet-3b"} })
		})
		f.resize(asg, 3)
		f.wait(time.Minute)
		f.wantStates("InService", "InService", "InService")
		if got, want := f.addresses("10.10.3."), []int{4, 5, 6, 7, 8, 9}; !slices.Equal(got, want) {
			f.t.Errorf("addresses %v, want %v", got, want)
		}
	})
}

// addresses lists the last bytes of the ENIs' primary addresses in a subnet.
func (f *fleet) addresses(prefix string) []int {
	var list []int
	for _, e := range f.sim.ENIs() {
		if strings.HasPrefix(e.Primary.String(), prefix) {
			list = append(list, int(e.Primary.As4()[3]))
		}
	}
	slices.Sort(list)
	return list
}

// TestThreeZones launches in three zones, of which one has no subnet of the
// second network: its workers are refused, and the others served.
// TestANetworkOnTheSecondCard attaches the ENI of one network to another network
// card than the worker's first ENI is on.
func TestANetworkOnTheSecondCard(t *testing.T) {
	topology := strings.Replace(scalingGroup(), "type: m5.xlarge", "type: two.cards", 1) +
		"instanceTypes: [{name: two.cards, interfaces: 4, addresses: 15, cards: 2}]\n"
	inGroups(t, topology, func(f *fleet) {
		f.configure(func(s *spec.Settings) { s.Networks[1].NetworkCard, s.Networks[1].DeviceIndex = 1, 1 })
		f.resize(asg, 1)
		f.wait(time.Minute)
		f.wantStates("InService")
		f.wantWorker(f.one(), "1 n3 10.10.3.4", "1 n6 10.10.6.4")
		for _, e := range f.sim.ENIs() {
			card := map[string]int32{"n3": 0, "n6": 1}
			if network := e.Tags[nodegroup.TagNetwork]; network != "" && aws.ToInt32(f.describe(e.ID).Attachment.NetworkCardIndex) != card[network] {
				f.t.Errorf("the ENI of %s is on card %d, want %d", network, aws.ToInt32(f.describe(e.ID).Attachment.NetworkCardIndex), card[network])
			}
		}
	})
}

func TestThreeZones(t *testing.T) {
	more := `- {id: subnet-mgmt-b, cidr: 10.10.20.0/24, zone: us-west-2b}
- {id: subnet-mgmt-c, cidr: 10.10.21.0/24, zone: us-west-2c}
- {id: subnet-3c, cidr: 10.10.5.0/24, zone: us-west-2c}
- {id: subnet-6c, cidr: 10.10.7.0/24, zone: us-west-2c}
reservations:
- {subnet: subnet-3b, cidr: 10.10.4.128/25, type: explicit}
- {subnet: subnet-3c, cidr: 10.10.5.128/25, type: explicit}
- {subnet: subnet-6c, cidr: 10.10.7.128/25, type: explicit}
`
	topology := strings.Replace(scalingGroup("subnets: [subnet-mgmt, subnet-mgmt-b, subnet-mgmt-c]"), "reservations:\n", more, 1)
	inGroups(t, topology, func(f *fleet) {
		f.configure(func(s *spec.Settings) {
			s.Networks = networks(func(n []spec.Network) {
				n[0].Subnets, n[1].Subnets = append(n[0].Subnets, "subnet-3c"), append(n[1].Subnets, "subnet-6c")
			})
		})
		f.resize(asg, 6)
		f.wait(time.Minute)
		f.wantStates("InService", "InService", "InService", "InService", "Pending:Wait", "Pending:Wait")
		f.wantOutcomes("CONTINUE", "CONTINUE", "CONTINUE", "CONTINUE", "WAIT subnet-missing", "WAIT subnet-missing")
		for prefix, want := range map[string][]int{"10.10.3.": {4, 5}, "10.10.5.": {4, 5}, "10.10.6.": {4, 5}, "10.10.7.": {4, 5}, "10.10.4.": nil} {
			if got := f.addresses(prefix); !slices.Equal(got, want) {
				f.t.Errorf("addresses %s%v, want %v", prefix, got, want)
			}
		}
	})
}

// TestASubnetOfElevenAddresses has no room for the twelfth worker. It is held
// if that is asked for, and leaves nothing in the end.
func TestASubnetOfElevenAddresses(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.configure(func(s *spec.Settings) { s.OnRefusal = spec.OnRefusalHold })
		f.configure(func(s *spec.Settings) {
			s.Networks = networks(func(n []spec.Network) { n[0].Subnets, n[0].Reservation = []string{"subnet-9a"}, spec.Off })[:1]
		})
		f.sweepEachMinute()
		f.resize(asg, 11)
		f.wait(time.Minute)
		f.wantStates(slices.Repeat([]string{"InService"}, 11)...)
		f.logs.outcomes(f.t)
		f.resize(asg, 12)
		f.wait(40 * time.Second)
		f.wantOutcomes("WAIT subnet-full")
		f.wantStates(append(slices.Repeat([]string{"InService"}, 11), "Pending:Wait")...)
		f.resize(asg, 11)
		f.wait(time.Minute)
		f.resize(asg, 0)
		f.wait(2 * time.Minute)
		if left := f.nodeGroupENIs(); len(left) > 0 {
			f.t.Errorf("left over: %v", left)
		}
	})
}

// TestAPreviewSaysWhatHappens compares what a dry run says with what happens.
func TestAPreviewSaysWhatHappens(t *testing.T) {
	inGroups(t, scalingGroup(), func(f *fleet) {
		f.set(`{"eventLoss":1}`)
		f.resize(asg, 1)
		f.wait(15 * time.Second)
		garbage := f.leave("i-gone", "n6")
		f.wait(16 * time.Minute)
		f.resize(asg, 0)
		f.resize(asg, 1)
		f.wait(time.Minute)
		worker := f.one()
		f.actions()
		previews, err := f.function().PreviewSweep(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		if _, _, writes := f.callsOf(); len(writes) > 0 {
			f.t.Errorf("a preview writes: %v", writes)
		}
		var got []string
		for _, p := range previews {
			for _, s := range p.Steps {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %v %s", p.Result, s.Do, s.Network, s.Address, s.ENI)))
			}
		}
		want := []string{
			"CONTINUE create n3 10.10.3.4", "CONTINUE attach n3 10.10.3.4", "CONTINUE protect n3 10.10.3.4", "CONTINUE uncheck n3 10.10.3.4",
			"CONTINUE create n6 10.10.6.4", "CONTINUE attach n6 10.10.6.4", "CONTINUE protect n6 10.10.6.4", "CONTINUE uncheck n6 10.10.6.4",
			"IGNORE delete n6 invalid IP " + garbage,
		}
		if len(got) != len(want) || !slices.Equal(got[:8], want[:8]) || !strings.HasSuffix(got[8], garbage) {
			f.t.Errorf("it says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		f.sweep()
		f.wait(time.Minute)
		f.wantWorker(worker, served...)
	})
}
