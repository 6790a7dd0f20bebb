package autoscalingapi

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscaling"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type templateShape struct {
	ID      string `xml:"LaunchTemplateId"`
	Name    string `xml:"LaunchTemplateName"`
	Version string `xml:"Version"`
}

type memberShape struct {
	Instance  string        `xml:"InstanceId"`
	Type      string        `xml:"InstanceType"`
	Group     string        `xml:"AutoScalingGroupName,omitempty"`
	Zone      string        `xml:"AvailabilityZone"`
	ZoneID    string        `xml:"AvailabilityZoneId"`
	State     string        `xml:"LifecycleState"`
	Health    string        `xml:"HealthStatus"`
	Template  templateShape `xml:"LaunchTemplate"`
	Protected bool          `xml:"ProtectedFromScaleIn"`
}

func template(group string) templateShape {
	return templateShape{autoscaling.TemplateID, group, autoscaling.TemplateVersion}
}

func (a *API) member(m autoscaling.Member) memberShape {
	health := "Healthy"
	if m.Unhealthy {
		health = "Unhealthy"
	}
	return memberShape{
		Instance: m.Instance, Type: m.Type, Zone: m.Zone, ZoneID: topology.ZoneID(a.World.Region, m.Zone), State: string(m.State),
		Health: health, Template: template(m.Group),
	}
}

func (a *API) members(list []autoscaling.Member) (out list[memberShape]) {
	for _, m := range list {
		out.Items = append(out.Items, a.member(m))
	}
	return out
}

type tagShape struct {
	Resource string `xml:"ResourceId"`
	Type     string `xml:"ResourceType"`
	Key      string `xml:"Key"`
	Value    string `xml:"Value"`
	AtLaunch bool   `xml:"PropagateAtLaunch"`
}

type poolShape struct {
	MaxPrepared *int   `xml:"MaxGroupPreparedCapacity"`
	MinSize     int    `xml:"MinSize"`
	State       string `xml:"PoolState"`
	Reuse       bool   `xml:"InstanceReusePolicy>ReuseOnScaleIn"`
}

func pool(g autoscaling.Group) *poolShape {
	p := g.WarmPool
	if p == nil {
		return nil
	}
	out := &poolShape{MinSize: p.MinSize, State: p.State, Reuse: p.Reuse}
	if p.MaxPrepared >= 0 {
		out.MaxPrepared = &p.MaxPrepared
	}
	return out
}

type policyShape struct {
	Abandon string `xml:"RetentionTriggers>TerminateHookAbandon"`
}

type groupShape struct {
	Name          string            `xml:"AutoScalingGroupName"`
	ARN           string            `xml:"AutoScalingGroupARN"`
	Template      templateShape     `xml:"LaunchTemplate"`
	Min           int               `xml:"MinSize"`
	Max           int               `xml:"MaxSize"`
	Desired       int               `xml:"DesiredCapacity"`
	Cooldown      int               `xml:"DefaultCooldown"`
	Zones         list[string]      `xml:"AvailabilityZones"`
	ZoneIDs       list[string]      `xml:"AvailabilityZoneIds"`
	LoadBalancers list[string]      `xml:"LoadBalancerNames"`
	HealthCheck   string            `xml:"HealthCheckType"`
	Grace         int               `xml:"HealthCheckGracePeriod"`
	Members       list[memberShape] `xml:"Instances"`
	Created       string            `xml:"CreatedTime"`
	Suspended     list[string]      `xml:"SuspendedProcesses"`
	Subnets       string            `xml:"VPCZoneIdentifier"`
	Tags          list[tagShape]    `xml:"Tags"`
	Pool          *poolShape        `xml:"WarmPoolConfiguration"`
	PoolSize      *int              `xml:"WarmPoolSize"`
	Policy        *policyShape      `xml:"InstanceLifecyclePolicy"`
}

func (a *API) group(g autoscaling.Group) groupShape {
	out := groupShape{
		Name: g.Name, ARN: g.ARN, Template: template(g.Name), Min: g.Min, Max: g.Max, Desired: g.Desired, Cooldown: 300,
		Zones: list[string]{g.Zones}, HealthCheck: "EC2", Members: a.members(g.Members), Created: stamp(g.Created),
		Subnets: strings.Join(g.Subnets, ","), Pool: pool(g),
	}
	for _, zone := range g.Zones {
		out.ZoneIDs.Items = append(out.ZoneIDs.Items, topology.ZoneID(a.World.Region, zone))
	}
	for _, t := range g.Tags {
		out.Tags.Items = append(out.Tags.Items, tagShape{g.Name, "auto-scaling-group", t.Key, t.Value, t.AtLaunch})
	}
	if out.Pool != nil {
		out.PoolSize = new(len(g.Pool))
	}
	if g.Retain {
		out.Policy = &policyShape{"retain"}
	}
	return out
}

func describeGroups(a *API, p query.Params) (any, error) {
	filters, err := readFilters(p)
	if err != nil {
		return nil, err
	}
	include := p["IncludeInstances"] != "false"
	names := set(p.List("AutoScalingGroupNames.member"))
	groups := slices.DeleteFunc(a.Scaling.Groups(lag.Groups), func(g autoscaling.Group) bool {
		return len(names) > 0 && !names[g.Name] || !passes(g, filters)
	})
	groups, next, err := page(p, groups, 50, 100)
	if err != nil {
		return nil, err
	}
	var out struct {
		Groups list[groupShape] `xml:"AutoScalingGroups"`
		Next   string           `xml:"NextToken,omitempty"`
	}
	out.Next = next
	for _, g := range groups {
		shape := a.group(g)
		if !include {
			shape.Members.Items = nil
		}
		out.Groups.Items = append(out.Groups.Items, shape)
	}
	return out, nil
}

// describeInstances leaves out ids that no group has.
func describeInstances(a *API, p query.Params) (any, error) {
	ids := set(p.List("InstanceIds.member"))
	var members []autoscaling.Member
	for _, g := range a.Scaling.Groups(lag.Groups) {
		for _, m := range append(g.Members, g.Pool...) {
			if len(ids) == 0 || ids[m.Instance] {
				members = append(members, m)
			}
		}
	}
	members, next, err := page(p, members, 50, 50)
	if err != nil {
		return nil, err
	}
	var out struct {
		Instances list[memberShape] `xml:"AutoScalingInstances"`
		Next      string            `xml:"NextToken,omitempty"`
	}
	out.Next = next
	for _, m := range members {
		shape := a.member(m)
		shape.Group, shape.Health = m.Group, strings.ToUpper(shape.Health)
		out.Instances.Items = append(out.Instances.Items, shape)
	}
	return out, nil
}

func describeWarmPool(a *API, p query.Params) (any, error) {
	if err := required(p, "AutoScalingGroupName"); err != nil {
		return nil, err
	}
	g, err := a.Scaling.Group(p["AutoScalingGroupName"], lag.Groups)
	if err != nil {
		return nil, err
	}
	members, next, err := page(p, g.Pool, 50, 50)
	if err != nil {
		return nil, err
	}
	return struct {
		Pool    *poolShape        `xml:"WarmPoolConfiguration"`
		Members list[memberShape] `xml:"Instances"`
		Next    string            `xml:"NextToken,omitempty"`
	}{pool(g), a.members(members), next}, nil
}

// maxFilterValues bounds the values of all filters of a request.
const maxFilterValues = 200

// filter is one of Filters: it passes groups that have any of its values.
type filter struct {
	key  string // of tag:KEY; "" for tag-key and tag-value
	name string
	want map[string]bool
}

func readFilters(p query.Params) ([]filter, error) {
	var out []filter
	total := 0
	for _, f := range p.Each("Filters.member") {
		name := f["Name"]
		values := f.List("Values.member")
		total += len(values)
		key, isTag := strings.CutPrefix(name, "tag:")
		if !isTag {
			key = ""
		}
		if !isTag && name != "tag-key" && name != "tag-value" {
			return nil, errInvalid("Filter type %s is not correct. Allowed Filter types are: tag-key, tag-value, tag:<key>", name)
		}
		out = append(out, filter{key, name, set(values)})
	}
	if total > maxFilterValues {
		return nil, errInvalid("The filters have %d values, want at most %d", total, maxFilterValues)
	}
	return out, nil
}

func passes(g autoscaling.Group, filters []filter) bool {
	for _, f := range filters {
		hit := slices.ContainsFunc(g.Tags, func(t topology.GroupTag) bool {
			switch f.name {
			case "tag-key":
				return f.want[t.Key]
			case "tag-value":
				return f.want[t.Value]
			default:
				return t.Key == f.key && f.want[t.Value]
			}
		})
		if !hit {
			return false
		}
	}
	return true
}

// page cuts one page out of items and returns the token for the next, "" at the
// end.
func page[T any](p query.Params, items []T, whole, most int) ([]T, string, error) {
	size, err := p.Int("MaxRecords")
	switch {
	case err != nil:
		return nil, "", errInvalid("The parameter MaxRecords must be a number: %q", p["MaxRecords"])
	case size == nil:
		size = &whole
	case *size < 1 || *size > most:
		return nil, "", errInvalid("1 validation error detected: Value '%d' at 'maxRecords' failed to satisfy constraint: "+
			"Member must have value between 1 and %d", *size, most)
	}
	start := 0
	if token := p["NextToken"]; token != "" {
		text, err := base64.URLEncoding.DecodeString(token)
		if err == nil {
			start, err = strconv.Atoi(string(text))
		}
		if err != nil || start < 0 {
			return nil, "", apierr.New("InvalidNextToken", "The token '%s' is invalid.", token)
		}
	}
	start = min(start, len(items))
	end := min(start+*size, len(items))
	if end == len(items) {
		return items[start:], "", nil
	}
	return items[start:end], base64.URLEncoding.EncodeToString([]byte(strconv.Itoa(end))), nil
}
