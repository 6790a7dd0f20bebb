package vpcsim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// passages says of each event how its instance goes, and answers it.
func (s *scaled) passages(wait time.Duration) []string {
	s.t.Helper()
	list := []string{}
	for _, e := range s.heard(wait) {
		d := e.Detail
		transition := map[string]string{"autoscaling:EC2_INSTANCE_LAUNCHING": "launching", "autoscaling:EC2_INSTANCE_TERMINATING": "terminating"}
		list = append(list, transition[d.LifecycleTransition]+" "+d.Origin+" -> "+d.Destination+" "+d.Action+" in "+s.state(d.Instance))
		s.mustComplete(e, "CONTINUE")
	}
	return list
}

// state is the lifecycle state of an instance.
func (s *scaled) state(id string) string {
	s.t.Helper()
	out, err := s.as.DescribeAutoScalingInstances(s.t.Context(), &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(out.AutoScalingInstances) == 0 {
		return "gone"
	}
	return *out.AutoScalingInstances[0].LifecycleState
}

// wantPassage expects one event and the states that follow its answer.
func (s *scaled) wantPassage(wait time.Duration, event string, states ...string) {
	s.t.Helper()
	if got := s.passages(wait); len(got) != 1 || got[0] != event {
		s.t.Errorf("the events %q, want %q", got, event)
	}
	s.want(states...)
}

// TestTheLifeOfAWarmPool is every row of the table of origins and destinations.
func TestTheLifeOfAWarmPool(t *testing.T) {
	const pool = "  warmPool: {maxGroupPreparedCapacity: 1, reuseOnScaleIn: true}\n"
	inGroup(t, "  hooks:\n"+launchHook+terminateHook+pool, func(s *scaled) {
		s.want("Warmed:Pending")
		s.wantPassage(12*time.Second, "launching EC2 -> WarmPool Launch in Warmed:Pending:Wait", "Warmed:Pending:Proceed")
		time.Sleep(20 * time.Second)
		s.want("Warmed:Stopped")
		if n := len(s.group().Instances); n != 0 {
			s.t.Errorf("the group shows %d instances, want none of the warm pool", n)
		}
		out, err := s.as.DescribeWarmPool(s.t.Context(), &autoscaling.DescribeWarmPoolInput{AutoScalingGroupName: aws.String("upf")})
		if err != nil {
			s.t.Fatal(err)
		}
		warm := *out.Instances[0].InstanceId
		if c := out.WarmPoolConfiguration; *c.MinSize != 0 || *c.MaxGroupPreparedCapacity != 1 || c.PoolState != "Stopped" || !*c.InstanceReusePolicy.ReuseOnScaleIn {
			s.t.Errorf("the configuration is %+v", c)
		}
		launched := *s.instance(warm).LaunchTime

		s.resize(1) // out of the pool
		s.want("Pending")
		s.wantPassage(12*time.Second, "launching WarmPool -> AutoScalingGroup Launch in Pending:Wait", "InService")
		if g := s.group(); *g.Instances[0].InstanceId != warm || *g.WarmPoolSize != 0 {
			s.t.Errorf("the group has %+v, want %s and an empty pool", g.Instances, warm)
		}
		if again := *s.instance(warm).LaunchTime; !again.After(launched) {
			s.t.Errorf("launched at %s, and started at %s", launched, again)
		}

		if err := s.Command(warm, "replace-root-volume"); err != nil {
			s.t.Fatal(err)
		}
		s.wantPassage(0, "terminating AutoScalingGroup -> AutoScalingGroup ReplaceRootVolume in ReplacingRootVolume:Wait", "Pending:Wait")
		s.wantPassage(0, "launching AutoScalingGroup -> AutoScalingGroup ReplaceRootVolume in Pending:Wait", "InService")

		s.resize(0) // back into the pool
		s.wantPassage(0, "terminating AutoScalingGroup -> WarmPool Terminate in Warmed:Pending:Wait", "Warmed:Pending:Proceed")
		time.Sleep(20 * time.Second)
		s.want("Warmed:Stopped")
		if got := s.state(warm); got != "Warmed:Stopped" {
			s.t.Errorf("%s is %s: it was to live on", warm, got)
		}

		if _, err := s.as.TerminateInstanceInAutoScalingGroup(s.t.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{
			InstanceId: &warm, ShouldDecrementDesiredCapacity: aws.Bool(false)}); err != nil {
			s.t.Fatal(err)
		}
		s.wantPassage(0, "terminating WarmPool -> EC2 Terminate in Warmed:Terminating:Wait", "Warmed:Pending", "Warmed:Terminating:Proceed")
		time.Sleep(20 * time.Second)
		if got := s.state(warm); got != "gone" {
			s.t.Errorf("%s is %s", warm, got)
		}
	})
}

func TestAnEmptyWarmPoolLaunchesStraightIntoTheGroup(t *testing.T) {
	const pool = "  warmPool: {minSize: 1, maxGroupPreparedCapacity: 0, poolState: Running}\n"
	inGroup(t, "  hooks:\n"+launchHook+terminateHook+pool, func(s *scaled) {
		if got := s.passages(12 * time.Second); len(got) != 1 {
			s.t.Fatalf("got %q", got)
		}
		s.want("Warmed:Running")
		s.resize(2)
		s.want("Pending", "Pending:Wait", "Warmed:Pending") // the running one waits at once, and the pool is filled again
		if got := s.passages(0); len(got) != 1 || got[0] != "launching WarmPool -> AutoScalingGroup Launch in Pending:Wait" {
			s.t.Errorf("got %q", got)
		}
		if got := s.passages(12 * time.Second); len(got) != 2 {
			s.t.Errorf("got %q, want the one of the group and the one of the pool", got)
		}
		s.want("InService", "InService", "Warmed:Running")
		s.resize(0)
		if got := s.passages(0); len(got) != 2 || got[0] != "terminating AutoScalingGroup -> EC2 Terminate in Terminating:Wait" {
			s.t.Errorf("got %q, want two that end: the pool takes none back", got)
		}
	})
}

func TestAbandoningInAWarmPool(t *testing.T) {
	const pool = "  warmPool: {maxGroupPreparedCapacity: 1, reuseOnScaleIn: true}\n"
	inGroup(t, "  hooks:\n"+launchHook+pool, func(s *scaled) {
		e := s.one(12 * time.Second)
		s.mustComplete(e, "ABANDON")
		s.want("Warmed:Terminating:Proceed")
		time.Sleep(10 * time.Second)
		s.want("Warmed:Pending", "Warmed:Terminating:Proceed")
	})
}

func TestAnAbandonedTerminationRetainsTheInstance(t *testing.T) {
	for _, tc := range []struct{ name, more, want string }{
		{"by an answer", "  terminateHookAbandon: retain\n", "Terminating:Retained"},
		{"without the policy it ends", "", "Terminating:Proceed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inGroup(t, "  hooks:\n"+terminateHook+tc.more, func(s *scaled) {
				id := s.running()
				s.resize(0)
				s.mustComplete(s.one(0), "ABANDON")
				s.want(tc.want)
				if tc.more == "" {
					return
				}
				if in := s.instance(id); in.State.Name != "running" {
					s.t.Errorf("the instance is %s", in.State.Name)
				}
				if p := s.group().InstanceLifecyclePolicy; p == nil || p.RetentionTriggers.TerminateHookAbandon != "retain" {
					s.t.Errorf("the policy is %+v", p)
				}
				s.resize(1)
				time.Sleep(12 * time.Second)
				s.want("InService", "Terminating:Retained") // it is not capacity
				if err := s.Command(id, "terminate"); err != nil {
					s.t.Fatal(err)
				}
				time.Sleep(20 * time.Second)
				s.want("InService")
			})
		})
	}
}

func TestWhatOthersDoToInstances(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook+terminateHook, func(s *scaled) {
		s.resize(1)
		waiting := s.one(12 * time.Second)
		id := waiting.Detail.Instance
		if err := s.Command(id, "terminate"); err != nil {
			s.t.Fatal(err)
		}
		drain := s.one(20 * time.Second)
		s.want("Pending", "Terminating:Wait") // unhealthy, and replaced; its terminate hook runs though it has ended
		if got := code(s.complete(waiting, "CONTINUE")); got != "ValidationError" {
			s.t.Errorf("answering the launch hook: %s", got)
		}
		s.mustComplete(drain, "CONTINUE")
		if got := s.state(id); got != "gone" {
			s.t.Errorf("after its hook it is %s", got)
		}
		if err := s.Command("i-none", "stop"); code(err) == "ok" {
			s.t.Error("an instance that does not exist was stopped")
		}
		if err := s.Command(id, "start"); code(err) == "ok" {
			s.t.Error("a terminated instance was started")
		}
		if err := s.Command(id, "replace-root-volume"); code(err) == "ok" {
			s.t.Error("the root volume of a terminated instance was replaced")
		}
	})
}

func TestStatesOfProceedingLast(t *testing.T) {
	inGroup(t, "  hooks:\n"+launchHook, func(s *scaled) {
		s.set(`{"proceedTime":"5s"}`)
		s.resize(1)
		s.mustComplete(s.one(12*time.Second), "CONTINUE")
		s.want("Pending:Proceed")
		time.Sleep(5 * time.Second)
		s.want("InService")
	})
}
