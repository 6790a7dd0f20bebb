package vpcsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// workers is a VPC with one group, whose hooks and pool a test adds.
const workers = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-a, cidr: 10.10.12.0/24, zone: us-west-2a}
- {id: subnet-b, cidr: 10.10.13.0/24, zone: us-west-2b}
- {id: subnet-n3, cidr: 10.10.3.0/24, zone: us-west-2a}
settings: {pendingTime: 12s, stoppingTime: 20s}
groups:
- name: upf
  type: m5.xlarge
  subnets: [subnet-a, subnet-b]
  min: 0
  max: 4
  tags: {cluster: telco, note: kept}
  tagsNotPropagated: [note]
`

// The hooks that most tests have.
const (
	launchHook    = "  - {name: enis, transition: launching, heartbeat: 300s, metadata: hello}\n"
	terminateHook = "  - {name: drain, transition: terminating, heartbeat: 60s, default: CONTINUE}\n"
)

// scaled is a simulator in virtual time with AWS's clients.
type scaled struct {
	*vpcsim.Sim
	t   *testing.T
	as  *autoscaling.Client
	ec2 *ec2.Client

	mu     sync.Mutex
	events []event
}

// event is what a test looks at in a delivered event.
type event struct {
	Kind   string `json:"detail-type"`
	Time   time.Time
	Detail struct {
		LifecycleActionToken, AutoScalingGroupName, LifecycleHookName, LifecycleTransition string
		Instance                                                                           string `json:"EC2InstanceId"`
		NotificationMetadata, Origin, Destination, Action                                  string
	}
}

// inGroup runs a test in a bubble of testing/synctest.
func inGroup(t *testing.T, more string, test func(*scaled)) {
	t.Helper()
	inTopology(t, workers+more, test)
}

func inTopology(t *testing.T, text string, test func(*scaled)) {
	t.Helper()
	top := load(t, text)
	synctest.Test(t, func(t *testing.T) {
		sim, err := vpcsim.New(top, withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		s := &scaled{Sim: sim, t: t}
		sim.Subscribe(s.hear)
		login := credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, "")
		s.as = autoscaling.New(autoscaling.Options{
			Region: "us-west-2", BaseEndpoint: aws.String("http://autoscaling.test"), Retryer: aws.NopRetryer{},
			Credentials: login, HTTPClient: &http.Client{Transport: direct{sim.AutoScaling()}},
		})
		s.ec2 = ec2.New(ec2.Options{
			Region: "us-west-2", BaseEndpoint: aws.String("http://ec2.test"), Retryer: aws.NopRetryer{},
			Credentials: login, HTTPClient: &http.Client{Transport: direct{sim.EC2()}},
		})
		test(s)
	})
}

func (s *scaled) hear(data []byte) {
	var e event
	if err := json.Unmarshal(data, &e); err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// heard waits for a time, and returns what was delivered since the last call.
func (s *scaled) heard(wait time.Duration) []event {
	time.Sleep(wait)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.events
	s.events = nil
	return list
}

// one returns the only event that is delivered within a time.
func (s *scaled) one(wait time.Duration) event {
	s.t.Helper()
	list := s.heard(wait)
	if len(list) != 1 {
		s.t.Fatalf("%d events, want one: %+v", len(list), list)
	}
	return list[0]
}

func (s *scaled) group() types.AutoScalingGroup {
	s.t.Helper()
	out, err := s.as.DescribeAutoScalingGroups(s.t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.AutoScalingGroups[0]
}

// states lists the states of all members, those of the warm pool included.
func (s *scaled) states() []string {
	s.t.Helper()
	out, err := s.as.DescribeAutoScalingInstances(s.t.Context(), &autoscaling.DescribeAutoScalingInstancesInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	states := []string{}
	for _, m := range out.AutoScalingInstances {
		states = append(states, *m.LifecycleState)
	}
	slices.Sort(states)
	return states
}

func (s *scaled) want(states ...string) {
	s.t.Helper()
	if got := s.states(); !slices.Equal(got, states) {
		s.t.Errorf("the members are %q, want %q", got, states)
	}
}

// instance returns EC2's description of an instance; nil for one that is gone.
func (s *scaled) instance(id string) *ec2types.Instance {
	s.t.Helper()
	out, err := s.ec2.DescribeInstances(s.t.Context(), &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{filter("instance-id", id)}})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(out.Reservations) == 0 {
		return nil
	}
	return &out.Reservations[0].Instances[0]
}

func (s *scaled) resize(n int32) {
	s.t.Helper()
	_, err := s.as.SetDesiredCapacity(s.t.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String("upf"), DesiredCapacity: &n})
	if err != nil {
		s.t.Fatal(err)
	}
}

// complete answers the action of an event by its token.
func (s *scaled) complete(e event, result string) error {
	_, err := s.as.CompleteLifecycleAction(s.t.Context(), &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: &e.Detail.AutoScalingGroupName, LifecycleHookName: &e.Detail.LifecycleHookName,
		LifecycleActionToken: &e.Detail.LifecycleActionToken, LifecycleActionResult: &result,
	})
	return err
}

func (s *scaled) mustComplete(e event, result string) {
	s.t.Helper()
	if err := s.complete(e, result); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scaled) heartbeat(e event) error {
	_, err := s.as.RecordLifecycleActionHeartbeat(s.t.Context(), &autoscaling.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: &e.Detail.AutoScalingGroupName, LifecycleHookName: &e.Detail.LifecycleHookName, InstanceId: &e.Detail.Instance,
	})
	return err
}

func TestAnInstanceIsLaunchedAndWaitsForItsHook(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook, func(s *scaled) {
		s.resize(1)
		s.want("Pending")
		id := *s.group().Instances[0].InstanceId
		if in := s.instance(id); in.State.Name != "pending" || len(in.NetworkInterfaces) != 1 || !*in.NetworkInterfaces[0].Attachment.DeleteOnTermination {
			s.t.Errorf("EC2 has %+v", in)
		}
		if got := s.heard(11 * time.Second); len(got) > 0 {
			s.t.Errorf("events before the instance runs: %+v", got)
		}
		e := s.one(time.Second)
		want := event{Kind: "EC2 Instance-launch Lifecycle Action", Time: e.Time}
		want.Detail.LifecycleActionToken, want.Detail.Instance = e.Detail.LifecycleActionToken, id
		want.Detail.AutoScalingGroupName, want.Detail.LifecycleHookName = "upf", "enis"
		want.Detail.LifecycleTransition, want.Detail.NotificationMetadata = "autoscaling:EC2_INSTANCE_LAUNCHING", "hello"
		want.Detail.Origin, want.Detail.Destination, want.Detail.Action = "EC2", "AutoScalingGroup", "Launch"
		if diff := cmp.Diff(want, e); diff != "" || len(e.Detail.LifecycleActionToken) != 36 || e.Time.IsZero() {
			s.t.Errorf("the event %+v (-want +got)\n%s", e, diff)
		}
		s.want("Pending:Wait")
		tags := map[string]string{}
		in := s.instance(id)
		for _, tag := range in.Tags {
			tags[*tag.Key] = *tag.Value
		}
		if diff := cmp.Diff(map[string]string{"cluster": "telco", "aws:autoscaling:groupName": "upf",
			"aws:ec2launchtemplate:id": "lt-0123456789abcdef0", "aws:ec2launchtemplate:version": "1"}, tags); diff != "" || in.State.Name != "running" {
			s.t.Errorf("EC2 has state %s and tags (-want +got)\n%s", in.State.Name, diff)
		}
		s.mustComplete(e, "CONTINUE")
		s.want("InService")
		err := s.complete(e, "CONTINUE")
		if got, want := refusalOf(err), (refusal{400, "ValidationError", "No active Lifecycle Action found with token " + e.Detail.LifecycleActionToken}); got != want {
			s.t.Errorf("answering again: %+v, want %+v", got, want)
		}
		if got, want := refusalOf(s.heartbeat(e)), (refusal{400, "ValidationError", "No active Lifecycle Action found with instance ID " + id}); got != want {
			s.t.Errorf("a heartbeat after the answer: %+v, want %+v", got, want)
		}
	})
}

func TestHeartbeatsKeepAnInstanceWaitingUpToTheGlobalTimeOut(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook, func(s *scaled) {
		s.resize(1)
		e := s.one(12 * time.Second)
		for range 10 {
			time.Sleep(299 * time.Second)
			if err := s.heartbeat(e); err != nil {
				s.t.Fatal(err)
			}
		}
		time.Sleep(299 * time.Second)
		synctest.Wait()
		s.want("Pending:Wait")
		begun := time.Now().Add(-11 * 299 * time.Second)
		for s.heartbeat(e) == nil { // 100 times 300 s
			time.Sleep(200 * time.Second)
		}
		if waited := time.Since(begun).Round(200 * time.Second); waited < 30000*time.Second || waited > 30200*time.Second {
			s.t.Errorf("the instance waited for %s, want 8h20m", waited)
		}
		synctest.Wait()
		if in := s.instance(e.Detail.Instance); in != nil && in.State.Name == "running" {
			s.t.Error("the instance runs on after its time-out, whose result is ABANDON")
		}
	})
}

func TestNobodyAnswersAHook(t *testing.T) {
	for _, tc := range []struct{ name, result, want string }{
		{"by default the instance is ended", "ABANDON", "shutting-down"},
		{"with CONTINUE it enters service", "CONTINUE", "running"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inGroup(t, "  hooks:\n  - {name: enis, transition: launching, heartbeat: 30, default: "+tc.result+"}\n", func(s *scaled) {
				s.resize(1)
				e := s.one(12 * time.Second)
				time.Sleep(29 * time.Second)
				s.want("Pending:Wait")
				time.Sleep(time.Second)
				synctest.Wait()
				if in := s.instance(e.Detail.Instance); string(in.State.Name) != tc.want {
					s.t.Errorf("the instance is %s, want %s", in.State.Name, tc.want)
				}
			})
		})
	}
}

func TestAnAbandonedLaunchGoesThroughTheTerminateHooksAndIsReplaced(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook+"  - {name: second, transition: launching}\n"+terminateHook, func(s *scaled) {
		s.resize(1)
		both := s.heard(12 * time.Second)
		if len(both) != 2 || both[0].Detail.LifecycleActionToken == both[1].Detail.LifecycleActionToken {
			s.t.Fatalf("events %+v, want one for each hook with a token of its own", both)
		}
		s.mustComplete(both[0], "ABANDON")
		if got := code(s.complete(both[1], "CONTINUE")); got != "ValidationError" {
			s.t.Errorf("the other hook is not waited for any more; answering it: %s", got)
		}
		s.want("Terminating:Wait")
		drain := s.one(0)
		if drain.Detail.LifecycleHookName != "drain" || drain.Detail.Origin != "AutoScalingGroup" || drain.Detail.Destination != "EC2" {
			s.t.Errorf("got %+v", drain.Detail)
		}
		s.mustComplete(drain, "CONTINUE")
		s.want("Terminating:Proceed")
		time.Sleep(10 * time.Second)
		s.want("Pending", "Terminating:Proceed")
		time.Sleep(12 * time.Second)
		s.want("Pending:Wait")
		if in := s.instance(drain.Detail.Instance); in.State.Name != "terminated" {
			s.t.Errorf("the instance is %s", in.State.Name)
		}
		time.Sleep(time.Hour)
		if in := s.instance(drain.Detail.Instance); in != nil {
			s.t.Errorf("EC2 still describes %+v", in)
		}
	})
}

func TestENIsEndWithTheirInstanceIfTheyShall(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook, func(s *scaled) {
		s.resize(1)
		e := s.one(12 * time.Second)
		id := e.Detail.Instance
		var enis []string
		for i, protect := range []bool{true, false} {
			made, err := s.ec2.CreateNetworkInterface(s.t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String(zoneSubnet(s, id))})
			if err != nil {
				s.t.Fatal(err)
			}
			eni := made.NetworkInterface.NetworkInterfaceId
			at, err := s.ec2.AttachNetworkInterface(s.t.Context(), &ec2.AttachNetworkInterfaceInput{
				NetworkInterfaceId: eni, InstanceId: &id, DeviceIndex: aws.Int32(int32(i + 1))})
			if err != nil {
				s.t.Fatal(err)
			}
			if protect {
				if _, err := s.ec2.ModifyNetworkInterfaceAttribute(s.t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: eni,
					Attachment: &ec2types.NetworkInterfaceAttachmentChanges{AttachmentId: at.AttachmentId, DeleteOnTermination: aws.Bool(true)}}); err != nil {
					s.t.Fatal(err)
				}
			}
			enis = append(enis, *eni)
		}
		s.mustComplete(e, "CONTINUE")
		s.resize(0)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		var left []string
		for _, eni := range s.ENIs() {
			left = append(left, eni.ID+" on "+fmt.Sprintf("%q", eni.Instance))
		}
		if want := []string{enis[1] + ` on ""`}; !slices.Equal(left, want) {
			s.t.Errorf("left are %q, want %q", left, want)
		}
	})
}

// zoneSubnet is a subnet in the zone of an instance.
func zoneSubnet(s *scaled, id string) string {
	if *s.instance(id).Placement.AvailabilityZone == "us-west-2a" {
		return "subnet-n3"
	}
	return "subnet-b"
}

func TestGroupsAreBalancedOverZonesAndReplaceWhatIsTerminated(t *testing.T) {
	inGroup(t, "", func(s *scaled) {
		s.resize(4)
		time.Sleep(12 * time.Second)
		s.want("InService", "InService", "InService", "InService")
		zones := map[string]int{}
		first := s.group().Instances[0]
		for _, m := range s.group().Instances {
			zones[*m.AvailabilityZone]++
		}
		if diff := cmp.Diff(map[string]int{"us-west-2a": 2, "us-west-2b": 2}, zones); diff != "" {
			s.t.Errorf("zones (-want +got)\n%s", diff)
		}
		end := func(decrement bool) error {
			_, err := s.as.TerminateInstanceInAutoScalingGroup(s.t.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{
				InstanceId: first.InstanceId, ShouldDecrementDesiredCapacity: &decrement})
			return err
		}
		if err := end(false); err != nil {
			s.t.Fatal(err)
		}
		s.want("InService", "InService", "InService", "Pending", "Terminating:Proceed")
		time.Sleep(20 * time.Second)
		s.want("InService", "InService", "InService", "InService")
		first = s.group().Instances[0]
		if err := end(true); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		s.want("InService", "InService", "InService")
		if got := code(end(true)); got != "ValidationError" {
			s.t.Errorf("one that is gone: %s", got)
		}
		if g := s.group(); *g.DesiredCapacity != 3 {
			s.t.Errorf("desired is %d", *g.DesiredCapacity)
		}
	})
}

func TestRequestsThatAutoScalingRefuses(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook, func(s *scaled) {
		name, hook, result := aws.String("upf"), aws.String("enis"), aws.String("CONTINUE")
		complete := func(in autoscaling.CompleteLifecycleActionInput) error {
			_, err := s.as.CompleteLifecycleAction(s.t.Context(), &in)
			return err
		}
		desire := func(n int32) error {
			_, err := s.as.SetDesiredCapacity(s.t.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: name, DesiredCapacity: &n})
			return err
		}
		page := func(n int32, token *string) error {
			_, err := s.as.DescribeAutoScalingGroups(s.t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: &n, NextToken: token})
			return err
		}
		s.resize(1)
		e := s.one(12 * time.Second)
		for _, tc := range []struct {
			name string
			err  error
			want string // what the answer begins with
		}{
			{"an instance that waits for nothing", complete(autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: name, LifecycleHookName: hook,
				LifecycleActionResult: result, InstanceId: aws.String("i-1")}), "400 ValidationError No active Lifecycle Action found with instance ID i-1"},
			{"a hook of another name", complete(autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: name, LifecycleHookName: aws.String("other"),
				LifecycleActionResult: result, InstanceId: &e.Detail.Instance}), "400 ValidationError No active Lifecycle Action found with instance ID i-"},
			{"a token of another instance", complete(autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: name, LifecycleHookName: hook,
				LifecycleActionResult: result, InstanceId: aws.String("i-1"), LifecycleActionToken: &e.Detail.LifecycleActionToken}),
				"400 ValidationError No active Lifecycle Action found with token " + e.Detail.LifecycleActionToken},
			{"a group that does not exist", complete(autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: aws.String("x"), LifecycleHookName: hook,
				LifecycleActionResult: result, InstanceId: aws.String("i-1")}), "400 ValidationError AutoScalingGroup name not found"},
			{"neither token nor instance", complete(autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: name, LifecycleHookName: hook,
				LifecycleActionResult: result}), "400 ValidationError Either InstanceId or LifecycleActionToken"},
			{"a result that is none", complete(autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: name, LifecycleHookName: hook,
				LifecycleActionResult: aws.String("RETRY"), InstanceId: &e.Detail.Instance}), "400 ValidationError LifecycleActionResult"},
			{"more than the group's maximum", desire(5), "400 ValidationError New SetDesiredCapacity value 5 is above max value 4"},
			{"less than its minimum", desire(-1), "400 ValidationError New SetDesiredCapacity value -1 is below min value 0"},
			{"too large pages", page(101, nil), "400 ValidationError 1 validation error detected"},
			{"a token that is none", page(1, aws.String("x")), "400 InvalidNextToken"},
		} {
			if got := describe(refusalOf(tc.err)); !strings.HasPrefix(got, tc.want) {
				s.t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
			}
		}
		s.want("Pending:Wait")
	})
}

func TestGroupsAreFilteredByTagsAndPaged(t *testing.T) {
	more := ""
	for i := range 60 {
		more += fmt.Sprintf("- {name: g-%d, type: m5.large, zones: [us-west-2a], tags: {number: '%d', all: 'yes'}}\n", i, i%3)
	}
	inGroup(t, "  hooks:\n"+launchHook+more, func(s *scaled) {
		names := func(in autoscaling.DescribeAutoScalingGroupsInput) (names []string, pages int) {
			for {
				out, err := s.as.DescribeAutoScalingGroups(s.t.Context(), &in)
				if err != nil {
					s.t.Fatal(err)
				}
				pages++
				for _, g := range out.AutoScalingGroups {
					names = append(names, *g.AutoScalingGroupName)
				}
				if in.NextToken = out.NextToken; in.NextToken == nil {
					return names, pages
				}
			}
		}
		tag := func(name string, values ...string) types.Filter { return types.Filter{Name: &name, Values: values} }
		for _, tc := range []struct {
			name          string
			in            autoscaling.DescribeAutoScalingGroupsInput
			groups, pages int
		}{
			{"all", autoscaling.DescribeAutoScalingGroupsInput{}, 61, 2},
			{"small pages", autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(7)}, 61, 9},
			{"by name", autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"g-3", "upf", "none"}}, 2, 1},
			{"by the value of a tag", autoscaling.DescribeAutoScalingGroupsInput{Filters: []types.Filter{tag("tag:number", "1", "2")}}, 40, 1},
			{"by a tag's name", autoscaling.DescribeAutoScalingGroupsInput{Filters: []types.Filter{tag("tag-key", "cluster")}}, 1, 1},
			{"by a value anywhere", autoscaling.DescribeAutoScalingGroupsInput{Filters: []types.Filter{tag("tag-value", "telco")}}, 1, 1},
			{"by two tags", autoscaling.DescribeAutoScalingGroupsInput{Filters: []types.Filter{tag("tag:number", "1"), tag("tag:all", "yes")}}, 20, 1},
			{"by two tags of which none has both", autoscaling.DescribeAutoScalingGroupsInput{
				Filters: []types.Filter{tag("tag:number", "1"), tag("tag:cluster", "telco")}}, 0, 1},
		} {
			if names, pages := names(tc.in); len(names) != tc.groups || pages != tc.pages {
				s.t.Errorf("%s: %d groups on %d pages, want %d on %d", tc.name, len(names), pages, tc.groups, tc.pages)
			}
		}
		for what, f := range map[string]types.Filter{
			"a filter that Auto Scaling does not have": tag("name", "x"), "too many values": tag("tag-key", make([]string, 201)...),
		} {
			_, err := s.as.DescribeAutoScalingGroups(s.t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{Filters: []types.Filter{f}})
			if got := code(err); got != "ValidationError" {
				s.t.Errorf("%s: %s", what, got)
			}
		}
		hooks, err := s.as.DescribeLifecycleHooks(s.t.Context(), &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("upf")})
		if err != nil {
			s.t.Fatal(err)
		}
		if h := hooks.LifecycleHooks[0]; *h.HeartbeatTimeout != 300 || *h.GlobalTimeout != 30000 || *h.DefaultResult != "ABANDON" || *h.NotificationMetadata != "hello" {
			s.t.Errorf("the hook is %+v", h)
		}
	})
}

func TestAutoScalingChecksSignaturesAndRights(t *testing.T) {
	inGroup(t, "", func(s *scaled) {
		call := func(id, secret string) error {
			c := autoscaling.New(autoscaling.Options{
				Region: "us-west-2", BaseEndpoint: aws.String("http://autoscaling.test"), Retryer: aws.NopRetryer{},
				Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""), HTTPClient: &http.Client{Transport: direct{s.AutoScaling()}},
			})
			_, err := c.DescribeAutoScalingGroups(s.t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{})
			return err
		}
		if got := describe(refusalOf(call("AKIDUNKNOWN", "secret"))); !strings.HasPrefix(got, "403 InvalidClientTokenId") {
			s.t.Errorf("an unknown key: %s", got)
		}
		if err := s.Set(`{"deny":["DescribeAutoScalingGroups"]}`); err != nil {
			s.t.Fatal(err)
		}
		if got := describe(refusalOf(call(vpcsim.AccessKeyID, vpcsim.SecretAccessKey))); !strings.HasPrefix(got, "403 AccessDenied User: arn:aws:sts::123456789012") {
			s.t.Errorf("a right that is missing: %s", got)
		}
		if err := s.Set(`{"deny":[]}`); err != nil {
			s.t.Fatal(err)
		}
		if err := s.Inject(vpcsim.Fault{Action: "DescribeAutoScalingGroups", Code: "Throttling"}, vpcsim.Fault{Action: "DescribeAutoScalingGroups", Lose: true}); err != nil {
			s.t.Fatal(err)
		}
		if got := describe(refusalOf(call(vpcsim.AccessKeyID, vpcsim.SecretAccessKey))); got != "400 Throttling Rate exceeded" {
			s.t.Errorf("throttled: %s", got)
		}
		if err := call(vpcsim.AccessKeyID, vpcsim.SecretAccessKey); err == nil || refusalOf(err).Code != "" {
			s.t.Errorf("a lost answer: %v", err)
		}
		if got := len(s.Calls(false)); got != 4 {
			s.t.Errorf("%d calls in the journal, want 4", got)
		}
	})
}
