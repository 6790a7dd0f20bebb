package topology

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

// Bounds of Auto Scaling groups. That of hooks is AWS's.
const (
	MaxGroups    = 200
	MaxGroupSize = 1000
	MaxHooks     = 50
)

// Group is an Auto Scaling group.
type Group struct {
	Name string
	// Type is the instance type.
	Type string
	// Subnets are where the first ENI of an instance is, one for each zone.
	Subnets           []string
	Desired, Min, Max int
	// SecurityGroups are those of the first ENI.
	SecurityGroups []string
	Role           string
	HopLimit       int
	Tags           []GroupTag
	Hooks          []Hook
	// WarmPool is nil without one.
	WarmPool *WarmPool
	// Retain keeps instances whose terminate hook is abandoned.
	Retain bool
}

// GroupTag is a tag of a group.
type GroupTag struct {
	Key, Value string
	// AtLaunch gives it to the instances too.
	AtLaunch bool
}

// The transitions that hooks wait at.
const (
	Launching   = "autoscaling:EC2_INSTANCE_LAUNCHING"
	Terminating = "autoscaling:EC2_INSTANCE_TERMINATING"
)

// The results of a lifecycle action.
const (
	Continue = "CONTINUE"
	Abandon  = "ABANDON"
)

// Hook is a lifecycle hook.
type Hook struct {
	Name       string
	Transition string
	Heartbeat  time.Duration
	// Default is the result when nobody answers in time.
	Default  string
	Metadata string
}

// GlobalTimeout is how long heartbeats can keep an instance waiting.
func (h Hook) GlobalTimeout() time.Duration { return min(100*h.Heartbeat, 48*time.Hour) }

// The states of a warm pool's instances.
const (
	PoolStopped    = "Stopped"
	PoolRunning    = "Running"
	PoolHibernated = "Hibernated"
)

// WarmPool is a warm pool.
type WarmPool struct {
	MinSize int
	// MaxPrepared bounds the instances of pool and group together; -1 for the
	// group's maximum.
	MaxPrepared int
	State       string
	// Reuse takes instances back when the group shrinks.
	Reuse bool
}

type fileScaling struct {
	Name           string            `yaml:"name"`
	Type           string            `yaml:"type"`
	Zones          []string          `yaml:"zones"`
	Subnets        []string          `yaml:"subnets"`
	Desired        int               `yaml:"desired"`
	Min            int               `yaml:"min"`
	Max            *int              `yaml:"max"`
	SecurityGroups []string          `yaml:"securityGroups"`
	Role           string            `yaml:"role"`
	HopLimit       *int              `yaml:"hopLimit"`
	Tags           map[string]string `yaml:"tags"`
	KeptTags       []string          `yaml:"tagsNotPropagated"`
	Hooks          []fileHook        `yaml:"hooks"`
	WarmPool       *fileWarmPool     `yaml:"warmPool"`
	Abandoned      string            `yaml:"terminateHookAbandon"`
}

type fileHook struct {
	Name       string `yaml:"name"`
	Transition string `yaml:"transition"`
	Heartbeat  any    `yaml:"heartbeat"` // as durations of the settings
	Default    string `yaml:"default"`
	Metadata   string `yaml:"metadata"`
}

type fileWarmPool struct {
	MinSize     int    `yaml:"minSize"`
	MaxPrepared *int   `yaml:"maxGroupPreparedCapacity"`
	State       string `yaml:"poolState"`
	Reuse       bool   `yaml:"reuseOnScaleIn"`
}

// group fills what a file may leave out. A zone stands for its first subnet.
func (c *checker) group(path string, f fileScaling, subnets []Subnet) Group {
	g := Group{
		Name: f.Name, Type: f.Type, Subnets: slices.Clone(f.Subnets), Desired: f.Desired, Min: f.Min, Max: max(f.Desired, f.Min),
		SecurityGroups: f.SecurityGroups, Role: or(f.Role, DefaultRole), HopLimit: DefaultHopLimit,
	}
	if f.Max != nil {
		g.Max = *f.Max
	}
	if f.HopLimit != nil {
		g.HopLimit = *f.HopLimit
	}
	for _, zone := range f.Zones {
		i := slices.IndexFunc(subnets, func(s Subnet) bool { return s.Zone == zone })
		if i < 0 {
			c.wrong(path+".zones", "%q has no subnet in this topology", zone)
			continue
		}
		g.Subnets = append(g.Subnets, subnets[i].ID)
	}
	for key, value := range f.Tags {
		g.Tags = append(g.Tags, GroupTag{key, value, !slices.Contains(f.KeptTags, key)})
	}
	slices.SortFunc(g.Tags, func(a, b GroupTag) int { return strings.Compare(a.Key, b.Key) })
	for i, h := range f.Hooks {
		g.Hooks = append(g.Hooks, c.hook(fmt.Sprintf("%s.hooks[%d]", path, i), h))
	}
	switch f.Abandoned {
	case "", "terminate":
	case "retain":
		g.Retain = true
	default:
		c.wrong(path+".terminateHookAbandon", "%q is neither terminate nor retain", f.Abandoned)
	}
	if p := f.WarmPool; p != nil {
		g.WarmPool = &WarmPool{MinSize: p.MinSize, MaxPrepared: -1, State: or(p.State, PoolStopped), Reuse: p.Reuse}
		if p.MaxPrepared != nil {
			g.WarmPool.MaxPrepared = *p.MaxPrepared
		}
	}
	return g
}

func (c *checker) hook(path string, f fileHook) Hook {
	h := Hook{Name: f.Name, Heartbeat: time.Hour, Default: or(f.Default, Abandon), Metadata: f.Metadata}
	if f.Heartbeat != nil {
		h.Heartbeat = c.duration(path+".heartbeat", f.Heartbeat)
	}
	switch f.Transition {
	case "launching", Launching:
		h.Transition = Launching
	case "terminating", Terminating:
		h.Transition = Terminating
	default:
		c.wrong(path+".transition", "%q is neither launching nor terminating", f.Transition)
	}
	return h
}

// duration reads what the settings take as a duration.
func (c *checker) duration(path string, v any) time.Duration {
	var d settings.Duration
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		c.wrong(path, "%s", err)
	}
	return d.Value()
}

// hookName is what AWS takes as the name of a hook.
var hookName = regexp.MustCompile(`^[A-Za-z0-9\-_/]{1,255}$`)

func (c *checker) checkGroups(t Topology, x *index) {
	if len(t.Groups) > MaxGroups {
		c.wrong("groups", "%d groups, want at most %d", len(t.Groups), MaxGroups)
	}
	for i, g := range t.Groups {
		path := fmt.Sprintf("groups[%d]", i)
		c.once(path+".name", g.Name, x)
		if len(g.Name) > 255 || strings.Contains(g.Name, ":") {
			c.wrong(path+".name", "AWS takes at most 255 characters without a colon")
		}
		if _, known := t.Limits(g.Type); !known {
			c.wrong(path+".type", "%q is not a known instance type", g.Type)
		}
		if g.Min < 0 || g.Min > g.Desired || g.Desired > g.Max || g.Max > MaxGroupSize {
			c.wrong(path, "min %d, desired %d, max %d: want 0 <= min <= desired <= max <= %d", g.Min, g.Desired, g.Max, MaxGroupSize)
		}
		if g.HopLimit < 1 || g.HopLimit > 64 {
			c.wrong(path+".hopLimit", "%d is not in 1 to 64", g.HopLimit)
		}
		c.checkGroupSubnets(path, g, x)
		c.checkHooks(path, g)
		c.checkWarmPool(path+".warmPool", g)
	}
}

func (c *checker) checkGroupSubnets(path string, g Group, x *index) {
	if len(g.Subnets) == 0 {
		c.wrong(path+".subnets", "is missing, and so is zones")
	}
	for _, id := range g.Subnets {
		if _, known := x.subnets[id]; !known {
			c.wrong(path+".subnets", "%q is not a subnet of this topology", id)
		}
	}
}

func (c *checker) checkHooks(path string, g Group) {
	if len(g.Hooks) > MaxHooks {
		c.wrong(path+".hooks", "%d hooks, want at most %d", len(g.Hooks), MaxHooks)
	}
	names := map[string]bool{}
	for i, h := range g.Hooks {
		p := fmt.Sprintf("%s.hooks[%d]", path, i)
		if !hookName.MatchString(h.Name) || names[h.Name] {
			c.wrong(p+".name", "%q is used twice, or is not a name of letters, digits, - _ and /", h.Name)
		}
		names[h.Name] = true
		outside := h.Heartbeat < 30*time.Second || h.Heartbeat > 2*time.Hour || h.Heartbeat%time.Second != 0
		if outside && !c.said(p+".heartbeat") {
			c.wrong(p+".heartbeat", "%s: AWS takes whole seconds from 30s to 2h", h.Heartbeat)
		}
		if h.Default != Continue && h.Default != Abandon {
			c.wrong(p+".default", "%q is neither %s nor %s", h.Default, Continue, Abandon)
		}
	}
}

func (c *checker) checkWarmPool(path string, g Group) {
	p := g.WarmPool
	if p == nil {
		return
	}
	if p.MinSize < 0 || p.MinSize > MaxGroupSize || p.MaxPrepared < -1 || p.MaxPrepared > MaxGroupSize {
		c.wrong(path, "minSize %d and maxGroupPreparedCapacity %d: want 0 to %d", p.MinSize, p.MaxPrepared, MaxGroupSize)
	}
	if states := []string{PoolStopped, PoolRunning, PoolHibernated}; !slices.Contains(states, p.State) {
		c.wrong(path+".poolState", "%q, want one of %q", p.State, states)
	}
}
