package autoscalingapi

import (
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscaling"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// required refuses requests that lack a parameter.
func required(p query.Params, names ...string) error {
	for _, name := range names {
		if p[name] == "" {
			return errInvalid("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null",
				strings.ToLower(name[:1])+name[1:])
		}
	}
	return nil
}

func lifecycleAction(p query.Params) autoscaling.Query {
	return autoscaling.Query{
		Group: p["AutoScalingGroupName"], Hook: p["LifecycleHookName"], Token: p["LifecycleActionToken"], Instance: p["InstanceId"],
	}
}

func complete(a *API, p query.Params) (any, error) {
	if err := required(p, "AutoScalingGroupName", "LifecycleHookName", "LifecycleActionResult"); err != nil {
		return nil, err
	}
	result := p["LifecycleActionResult"]
	if result != topology.Continue && result != topology.Abandon {
		return nil, errInvalid("LifecycleActionResult must be one of [%s, %s]: %s", topology.Continue, topology.Abandon, result)
	}
	return nil, a.Scaling.Complete(lifecycleAction(p), result)
}

func heartbeat(a *API, p query.Params) (any, error) {
	if err := required(p, "AutoScalingGroupName", "LifecycleHookName"); err != nil {
		return nil, err
	}
	return nil, a.Scaling.Heartbeat(lifecycleAction(p))
}

func setDesired(a *API, p query.Params) (any, error) {
	if err := required(p, "AutoScalingGroupName", "DesiredCapacity"); err != nil {
		return nil, err
	}
	n, err := p.Int("DesiredCapacity")
	if err != nil {
		return nil, errInvalid("The parameter DesiredCapacity must be a number: %q", p["DesiredCapacity"])
	}
	return nil, a.Scaling.SetDesired(p["AutoScalingGroupName"], *n)
}

type activity struct {
	ID          string `xml:"ActivityId"`
	Group       string `xml:"AutoScalingGroupName"`
	Description string `xml:"Description"`
	Cause       string `xml:"Cause"`
	Start       string `xml:"StartTime"`
	Status      string `xml:"StatusCode"`
	Progress    int    `xml:"Progress"`
}

func terminate(a *API, p query.Params) (any, error) {
	if err := required(p, "InstanceId", "ShouldDecrementDesiredCapacity"); err != nil {
		return nil, err
	}
	decrement, err := p.Is("ShouldDecrementDesiredCapacity")
	if err != nil {
		return nil, errInvalid("The parameter ShouldDecrementDesiredCapacity must be true or false")
	}
	m, err := a.Scaling.Terminate(p["InstanceId"], decrement)
	if err != nil {
		return nil, err
	}
	return struct {
		Activity activity `xml:"Activity"`
	}{activity{
		ID: query.UUID(a.Rand), Group: m.Group, Description: "Terminating EC2 instance: " + m.Instance,
		Cause: "instance was taken out of service in response to a user request.", Start: stamp(a.Now()), Status: "InProgress",
	}}, nil
}

type hookShape struct {
	Name       string `xml:"LifecycleHookName"`
	Group      string `xml:"AutoScalingGroupName"`
	Transition string `xml:"LifecycleTransition"`
	Metadata   string `xml:"NotificationMetadata,omitempty"`
	Heartbeat  int    `xml:"HeartbeatTimeout"`
	Global     int    `xml:"GlobalTimeout"`
	Default    string `xml:"DefaultResult"`
}

func describeHooks(a *API, p query.Params) (any, error) {
	if err := required(p, "AutoScalingGroupName"); err != nil {
		return nil, err
	}
	g, err := a.Scaling.Group(p["AutoScalingGroupName"], lag.Groups)
	if err != nil {
		return nil, err
	}
	names := set(p.List("LifecycleHookNames.member"))
	var out struct {
		Hooks list[hookShape] `xml:"LifecycleHooks"`
	}
	for _, h := range g.Hooks {
		if len(names) == 0 || names[h.Name] {
			out.Hooks.Items = append(out.Hooks.Items, hookShape{
				h.Name, g.Name, h.Transition, h.Metadata, int(h.Heartbeat.Seconds()), int(h.GlobalTimeout().Seconds()), h.Default,
			})
		}
	}
	return out, nil
}

func set(names []string) map[string]bool {
	out := map[string]bool{}
	for _, name := range names {
		out[name] = true
	}
	return out
}
