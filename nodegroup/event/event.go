// Package event reads what wakes the function up: a lifecycle event of Auto
// Scaling, or the clock. It is pure, and says what is meant by an event, not
// what becomes of it: events come late, twice or never, so that only a look at
// the instance says what is to be done.
package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Purpose is what an event asks for.
type Purpose string

// The purposes.
const (
	Attach Purpose = "attach" // a new instance wants its ENIs
	Verify Purpose = "verify" // an instance that had its ENIs, or may have had them, enters service
	LetGo  Purpose = "let-go" // the instance leaves, or lives on with its ENIs: only the answer is missing
	Sweep  Purpose = "sweep"  // look for what events did not say
	Ignore Purpose = "ignore" // nobody waits for an answer of ours
)

// MaxBytes bounds an event. EventBridge has the same bound.
const MaxBytes = 256 << 10

// Event is one event.
type Event struct {
	Purpose Purpose
	// Why says why it is ignored.
	Why string
	// Group, Hook and Instance name the wait, and Token is that of this wait.
	Group, Hook, Instance, Token string
	// Time is when Auto Scaling sent it; zero if it does not say.
	Time time.Time
}

// detail is a lifecycle action. Fields that are unknown are left alone: Auto
// Scaling adds some.
type detail struct {
	Token       string `json:"LifecycleActionToken"`
	Group       string `json:"AutoScalingGroupName"`
	Hook        string `json:"LifecycleHookName"`
	Instance    string `json:"EC2InstanceId"`
	Transition  string `json:"LifecycleTransition"`
	Origin      string `json:"Origin"`
	Destination string `json:"Destination"`
	Action      string `json:"Action"` // absent in older events
	Test        string `json:"Event"`  // of the message that a new hook sends
}

// envelope is EventBridge's. Without Detail the fields of the action are
// beside it, as in notifications of a hook.
type envelope struct {
	Sweep      bool            `json:"sweep"`
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Time       time.Time       `json:"time"`
	Detail     json.RawMessage `json:"detail"`
}

const (
	launching   = "autoscaling:EC2_INSTANCE_LAUNCHING"
	terminating = "autoscaling:EC2_INSTANCE_TERMINATING"
)

// Read says what an event asks for. An error means that it is not an event of
// Auto Scaling at all; one that is of no concern to hooks is not an error.
func Read(data []byte, hooks []string) (Event, error) {
	if len(data) > MaxBytes {
		return Event{}, fmt.Errorf("the event has %d bytes; want at most %d", len(data), MaxBytes)
	}
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, fmt.Errorf("the event cannot be read: %w", err)
	}
	if e.Sweep {
		return Event{Purpose: Sweep}, nil
	}
	if e.Source != "" && e.Source != "aws.autoscaling" {
		return Event{Purpose: Ignore, Why: fmt.Sprintf("it is from %.80q, not from aws.autoscaling", e.Source)}, nil
	}
	if len(e.Detail) > 0 {
		data = e.Detail
	}
	var d detail
	if err := json.Unmarshal(data, &d); err != nil {
		return Event{}, fmt.Errorf("the lifecycle action cannot be read: %w", err)
	}
	purpose, why := d.purpose(hooks)
	return Event{Purpose: purpose, Why: why, Group: d.Group, Hook: d.Hook, Instance: d.Instance, Token: d.Token, Time: e.Time}, nil
}

// purpose is the table of origins and destinations. The transition alone says
// little: an instance that goes back to a warm pool, and one whose root volume
// is replaced, "terminate" and live on.
func (d *detail) purpose(hooks []string) (purpose Purpose, why string) {
	switch {
	case d.Test != "":
		return Ignore, "it is a test message of a new hook"
	case d.Hook == "" || d.Instance == "" || d.Group == "":
		return Ignore, "it names no hook, instance and group"
	case !slices.Contains(hooks, d.Hook):
		return Ignore, fmt.Sprintf("the hook %.80q is not one of ours", d.Hook)
	case d.Transition == terminating:
		// ENIs end with their instance, and an instance that lives on keeps them.
		return LetGo, ""
	case d.Transition == launching && d.Action != "ReplaceRootVolume" && d.Origin == "EC2" && (d.Destination == "AutoScalingGroup" || d.Destination == "WarmPool"):
		return Attach, ""
	}
	return Verify, ""
}
