package event_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/event"
)

var hooks = []string{"multus-ipmgr/telco/upf"}

func lifecycle(transition, origin, destination, action string) string {
	detail := fmt.Sprintf(`"LifecycleActionToken":"t-1","AutoScalingGroupName":"asg","LifecycleHookName":"multus-ipmgr/telco/upf","EC2InstanceId":"i-1","LifecycleTransition":"autoscaling:EC2_INSTANCE_%s","Origin":%q,"Destination":%q`, transition, origin, destination)
	if action != "" {
		detail += fmt.Sprintf(`,"Action":%q`, action)
	}
	return `{"version":"0","id":"x","detail-type":"EC2 Instance-launch Lifecycle Action","source":"aws.autoscaling","account":"1","time":"2026-11-26T10:00:00Z","region":"us-west-2","resources":[],"detail":{` + detail + `,"Unknown":[1]}}`
}

func TestWhatEachOriginAndDestinationAsksFor(t *testing.T) {
	for _, tc := range []struct {
		transition, origin, destination, action string
		want                                    event.Purpose
	}{
		{"LAUNCHING", "EC2", "AutoScalingGroup", "", event.Attach},
		{"LAUNCHING", "EC2", "AutoScalingGroup", "Launch", event.Attach},
		{"LAUNCHING", "EC2", "WarmPool", "", event.Attach},
		{"LAUNCHING", "WarmPool", "AutoScalingGroup", "", event.Verify},
		{"LAUNCHING", "AutoScalingGroup", "AutoScalingGroup", "ReplaceRootVolume", event.Verify},
		{"LAUNCHING", "EC2", "AutoScalingGroup", "ReplaceRootVolume", event.Verify},
		{"LAUNCHING", "Moon", "AutoScalingGroup", "", event.Verify},
		{"LAUNCHING", "", "", "", event.Verify},
		{"SOMETHING_NEW", "EC2", "AutoScalingGroup", "", event.Verify},
		{"TERMINATING", "AutoScalingGroup", "AutoScalingGroup", "ReplaceRootVolume", event.LetGo},
		{"TERMINATING", "AutoScalingGroup", "EC2", "Terminate", event.LetGo},
		{"TERMINATING", "AutoScalingGroup", "WarmPool", "", event.LetGo},
		{"TERMINATING", "WarmPool", "EC2", "", event.LetGo},
		{"TERMINATING", "", "", "", event.LetGo},
	} {
		got, err := event.Read([]byte(lifecycle(tc.transition, tc.origin, tc.destination, tc.action)), hooks)
		want := event.Event{
			Purpose: tc.want, Group: "asg", Hook: hooks[0], Instance: "i-1", Token: "t-1",
			Time: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC),
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s from %q to %q, action %q: error %v, %s", tc.transition, tc.origin, tc.destination, tc.action, err, diff)
		}
	}
}

func TestWhatIsNotOursIsIgnored(t *testing.T) {
	for _, tc := range []struct{ name, event, want string }{
		{"a hook of another group", strings.Replace(lifecycle("LAUNCHING", "EC2", "AutoScalingGroup", ""), "telco/upf", "telco/other", 1), "not one of ours"},
		{"a test notification", `{"AccountId":"1","Event":"autoscaling:TEST_NOTIFICATION","AutoScalingGroupName":"asg"}`, "test message"},
		{"a test notification in an envelope", `{"source":"aws.autoscaling","detail":{"Event":"autoscaling:TEST_NOTIFICATION"}}`, "test message"},
		{"another event of Auto Scaling", `{"source":"aws.autoscaling","detail-type":"EC2 Instance Launch Successful","detail":{"EC2InstanceId":"i-1","AutoScalingGroupName":"asg"}}`, "names no hook"},
		{"an event of another service", `{"source":"aws.ec2","detail":{"instance-id":"i-1"}}`, `from "aws.ec2"`},
		{"an empty object", `{}`, "names no hook"},
	} {
		got, err := event.Read([]byte(tc.event), hooks)
		if err != nil || got.Purpose != event.Ignore || !strings.Contains(got.Why, tc.want) {
			t.Errorf("%s: got %+v, error %v; want it ignored: %s", tc.name, got, err, tc.want)
		}
	}
}

func TestOtherForms(t *testing.T) {
	sweep, err := event.Read([]byte(`{"sweep":true}`), hooks)
	if err != nil || sweep.Purpose != event.Sweep {
		t.Errorf("got %+v, %v", sweep, err)
	}
	flat, err := event.Read([]byte(`{"LifecycleActionToken":"t","AutoScalingGroupName":"asg","LifecycleHookName":"multus-ipmgr/telco/upf","EC2InstanceId":"i-1","LifecycleTransition":"autoscaling:EC2_INSTANCE_LAUNCHING","Origin":"EC2","Destination":"AutoScalingGroup"}`), hooks)
	if err != nil || flat.Purpose != event.Attach || flat.Instance != "i-1" {
		t.Errorf("a notification of a hook: got %+v, %v", flat, err)
	}
	for name, text := range map[string]string{
		"text": "hello", "nothing": "", "a list": "[]", "a detail that is text": `{"detail":"x"}`, "an endless one": strings.Repeat(" ", event.MaxBytes+1),
	} {
		if got, err := event.Read([]byte(text), hooks); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

// FuzzRead holds that an event that asks for something names the wait.
func FuzzRead(f *testing.F) {
	f.Add(lifecycle("LAUNCHING", "EC2", "AutoScalingGroup", ""))
	f.Add(lifecycle("TERMINATING", "AutoScalingGroup", "WarmPool", "x"))
	f.Add(`{"sweep":true}`)
	f.Add(`{"detail":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := event.Read([]byte(text), hooks)
		switch {
		case err != nil, e.Purpose == event.Sweep:
		case e.Purpose == event.Ignore:
			if e.Why == "" {
				t.Errorf("ignored for no reason: %+v", e)
			}
		case e.Group == "" || e.Instance == "" || e.Hook != hooks[0]:
			t.Errorf("%+v", e)
		}
	})
}
