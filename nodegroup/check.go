package nodegroup

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// Finding is something that a check of the settings found.
type Finding struct {
	plan.Refusal

	// Warning says that it keeps no worker from its ENIs.
	Warning bool
}

// Hook is a lifecycle hook of a group.
type Hook struct {
	Name string
	// Launching says that it holds instances that are being launched, and not
	// those that are being terminated.
	Launching bool
	// Abandons says that Auto Scaling ends an instance whose time is over.
	Abandons bool
	Timeout  time.Duration
}

// Surveyor knows what only a check asks for.
type Surveyor interface {
	// SecurityGroups returns the VPC of each of the ids that exists.
	SecurityGroups(ctx context.Context, ids []string) (map[string]string, error)
	// Hooks lists the hooks of an Auto Scaling group.
	Hooks(ctx context.Context, group string) ([]Hook, error)
}

// Check compares the settings with subnets, security groups, reservations,
// instance types and Auto Scaling groups. It makes read calls only. Instance
// types are those of the groups and those that are named.
func (f *Function) Check(ctx context.Context, s Surveyor, types []string) ([]Finding, error) {
	c := check{Function: f, surveyor: s, types: types}
	for _, look := range []func(context.Context) error{c.groups, c.subnets, c.securityGroups, c.workers} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	return c.findings, nil
}

// check is one run of Check.
type check struct {
	*Function

	surveyor Surveyor
	types    []string
	zones    []string
	known    map[string]plan.Subnet
	findings []Finding
}

// find takes note of something, once.
func (c *check) find(warning bool, network string, reason spec.Reason, format string, args ...any) {
	finding := Finding{plan.Refusal{Network: network, Reason: reason, Message: fmt.Sprintf(format, args...)}, warning}
	if !slices.Contains(c.findings, finding) {
		c.findings = append(c.findings, finding)
	}
}

// groups looks at the Auto Scaling groups and their hooks.
func (c *check) groups(ctx context.Context) error {
	groups, err := c.Scaling.Groups(ctx)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		c.find(true, "", "", "no Auto Scaling group has the tags %s=%s and %s=%s", TagCluster, c.Settings.Cluster, TagNodeGroup, c.Settings.Name)
	}
	for _, g := range groups {
		c.zones, c.types = append(c.zones, g.Zones...), append(c.types, g.Types...)
		if !g.Propagates {
			c.find(false, "", spec.SettingsReason, "Auto Scaling group %s does not propagate its tags to instances at launch, and workers without them are not touched; set PropagateAtLaunch", g.Name)
		}
		hooks, err := c.surveyor.Hooks(ctx, g.Name)
		if err != nil {
			return err
		}
		c.hooks(g.Name, hooks)
	}
	return nil
}

func (c *check) hooks(group string, hooks []Hook) {
	i := slices.IndexFunc(hooks, func(h Hook) bool { return h.Launching && slices.Contains(c.Settings.Hooks, h.Name) })
	switch {
	case i < 0:
		c.find(true, "", "", "Auto Scaling group %s has no launch hook %q: workers would enter service without their ENIs", group, c.Settings.Hooks)
	case !hooks[i].Abandons:
		c.find(true, "", "", "hook %s of Auto Scaling group %s lets workers enter service when its time is over; set its default result to ABANDON", hooks[i].Name, group)
	case hooks[i].Timeout < 2*heartbeatEvery:
		c.find(true, "", "", "hook %s of Auto Scaling group %s times out after %v; choose at least %v", hooks[i].Name, group, hooks[i].Timeout, 2*heartbeatEvery)
	}
}

// subnets looks at the subnets of all networks.
func (c *check) subnets(ctx context.Context) (err error) {
	ids := c.newRun("").subnetIDs()
	if c.known, err = c.Cloud.Subnets(ctx, ids); err != nil {
		return err
	}
	contents := make([]Contents, len(ids))
	var calls []func() error
	for i, id := range ids {
		s, exists := c.known[id]
		switch {
		case !exists:
			c.find(false, "", spec.SubnetMissing, "EC2 does not know subnet %s", id)
			continue
		case !s.LeftByCNI:
			c.find(true, "", "", "subnet %s has no tag %s=0, which keeps the VPC CNI from taking addresses there", id, TagCNI)
		}
		calls = append(calls, func() (err error) { contents[i], err = c.Cloud.Contents(ctx, id); return err })
	}
	if err := together(calls...); err != nil {
		return err
	}
	for i, id := range ids {
		if s, exists := c.known[id]; exists {
			c.known[id] = contents[i].of(s)
		}
	}
	return nil
}

// securityGroups looks whether each exists in the VPC of the subnets.
func (c *check) securityGroups(ctx context.Context) error {
	var ids []string
	for _, n := range c.Settings.Networks {
		ids = append(ids, n.SecurityGroups...)
	}
	slices.Sort(ids)
	found, err := c.surveyor.SecurityGroups(ctx, slices.Compact(ids))
	if err != nil {
		return err
	}
	for _, n := range c.Settings.Networks {
		for _, id := range n.SecurityGroups {
			vpc, exists := found[id]
			if !exists {
				c.find(false, n.Name, spec.GroupMissing, "EC2 does not know security group %s", id)
				continue
			}
			for _, subnet := range n.Subnets {
				if s := c.known[subnet]; s.VPC != "" && s.VPC != vpc {
					c.find(false, n.Name, spec.GroupMissing, "security group %s is of %s, and subnet %s of %s", id, vpc, subnet, s.VPC)
				}
			}
		}
	}
	return nil
}

// workers plans a new worker of each type in each zone.
func (c *check) workers(ctx context.Context) error {
	limits := map[string]plan.Limits{}
	for _, t := range c.types {
		of, err := c.Cloud.Limits(ctx, t)
		if err != nil {
			return err
		}
		limits[t] = of
	}
	if len(limits) == 0 {
		c.find(true, "", "", "no instance type is known, so limits are not checked; name some with --instance-type")
		limits["any type"] = c.noLimits()
	}
	if len(c.zones) == 0 {
		for _, s := range c.known {
			c.zones = append(c.zones, s.Zone)
		}
	}
	slices.Sort(c.zones)
	for _, zone := range slices.Compact(c.zones) {
		for _, t := range slices.Sorted(maps.Keys(limits)) {
			c.worker(plan.Instance{ID: "(new)", Type: t, Zone: zone, State: plan.Running}, limits[t])
		}
	}
	return nil
}

func (c *check) noLimits() plan.Limits {
	limits := plan.Limits{ENIs: math.MaxInt, Cards: map[int]int{}}
	for _, n := range c.Settings.Networks {
		limits.Cards[n.NetworkCard] = math.MaxInt
	}
	return limits
}

// worker takes note of what would keep a new worker from its ENIs.
func (c *check) worker(i plan.Instance, limits plan.Limits) {
	first := plan.ENI{ID: "of the primary interface", Attachment: &plan.Attachment{Instance: i.ID, Settled: true}}
	p := plan.Diff(c.Settings.Networks, plan.View{Instance: i, ENIs: []plan.ENI{first}, Subnets: c.known, Limits: limits}, plan.Options{})
	for _, r := range p.Refusals {
		c.find(false, r.Network, r.Reason, "%s", r.Message)
	}
	for _, text := range p.Warnings {
		c.find(true, "", "", "%s", text)
	}
}
