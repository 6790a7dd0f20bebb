package autoscaling

import (
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/eventbus"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// action is the detail of a lifecycle event.
type action struct {
	Token       string `json:"LifecycleActionToken"`
	Group       string `json:"AutoScalingGroupName"`
	Hook        string `json:"LifecycleHookName"`
	Instance    string `json:"EC2InstanceId"`
	Transition  string `json:"LifecycleTransition"`
	Metadata    string `json:"NotificationMetadata,omitempty"`
	Origin      string `json:"Origin"`
	Destination string `json:"Destination"`
	Action      string `json:"Action,omitempty"`
}

// announce sends the event of a wait.
func (s *Scaling) announce(m *member, p *passage, w *wait) {
	kind := "EC2 Instance-launch Lifecycle Action"
	if p.transition == topology.Terminating {
		kind = "EC2 Instance-terminate Lifecycle Action"
	}
	a := action{
		Token: w.token, Group: m.group.Name, Hook: w.hook.Name, Instance: m.instance(), Transition: p.transition,
		Metadata: w.hook.Metadata, Origin: p.origin, Destination: p.destination, Action: p.action,
	}
	if p.action != replaceRoot && !s.Settings.Get().EventAction {
		a.Action = ""
	}
	s.Bus.Publish(eventbus.Event{Source: source, Kind: kind, Resources: []string{m.group.arn}, Detail: a})
}

const source = "aws.autoscaling"

// failure is the detail of a launch that EC2 refused.
type failure struct {
	Group       string `json:"AutoScalingGroupName"`
	Status      string `json:"StatusCode"`
	Message     string `json:"StatusMessage"`
	Origin      string `json:"Origin"`
	Destination string `json:"Destination"`
}

func (s *Scaling) announceFailure(g *group, err error) {
	s.Bus.Publish(eventbus.Event{
		Source: source, Kind: "EC2 Instance Launch Unsuccessful", Resources: []string{g.arn},
		Detail: failure{g.Name, "Failed", err.Error(), placeEC2, placeGroup},
	})
}
