package topology

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoadReadsGroups(t *testing.T) {
	got, err := Load(strings.NewReader(base + `
groups:
- name: upf
  type: m5.large
  subnets: [subnet-b]
  zones: [us-west-2a]
  min: 1
  desired: 2
  max: 5
  securityGroups: [sg-1]
  role: node
  hopLimit: 1
  tags: {b: "2", a: "1"}
  tagsNotPropagated: [b]
  terminateHookAbandon: retain
  hooks:
  - {name: up, transition: launching, heartbeat: 5m, default: CONTINUE, metadata: m}
  - {name: down, transition: "autoscaling:EC2_INSTANCE_TERMINATING", heartbeat: 60}
  warmPool: {minSize: 1, maxGroupPreparedCapacity: 3, poolState: Running, reuseOnScaleIn: true}
- {name: bare, type: m5.large, zones: [us-west-2a], desired: 1}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Group{
		{
			Name: "upf", Type: "m5.large", Subnets: []string{"subnet-b", "subnet-a"}, Min: 1, Desired: 2, Max: 5, SecurityGroups: []string{"sg-1"},
			Role: "node", HopLimit: 1, Tags: []GroupTag{{"a", "1", true}, {"b", "2", false}}, Retain: true,
			Hooks: []Hook{
				{Name: "up", Transition: Launching, Heartbeat: 5 * time.Minute, Default: Continue, Metadata: "m"},
				{Name: "down", Transition: Terminating, Heartbeat: time.Minute, Default: Abandon},
			},
			WarmPool: &WarmPool{MinSize: 1, MaxPrepared: 3, State: PoolRunning, Reuse: true},
		},
		{Name: "bare", Type: "m5.large", Subnets: []string{"subnet-a"}, Desired: 1, Max: 1, Role: DefaultRole, HopLimit: DefaultHopLimit},
	}
	if diff := cmp.Diff(want, got.Groups); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestGlobalTimeoutsAreAtMostTwoDays(t *testing.T) {
	for heartbeat, want := range map[time.Duration]time.Duration{5 * time.Minute: 500 * time.Minute, 2 * time.Hour: 48 * time.Hour} {
		if got := (Hook{Heartbeat: heartbeat}).GlobalTimeout(); got != want {
			t.Errorf("%s: %s, want %s", heartbeat, got, want)
		}
	}
}

func TestMistakesInGroups(t *testing.T) {
	group := func(more string) string {
		return "groups:\n- {name: upf, type: m5.large, zones: [us-west-2a], " + more + "}\n"
	}
	many := func(n int, text string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, text, i)
		}
		return b.String()
	}
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"everything at once", "groups:\n- {name: 'a:b', type: x9.large, min: 3, desired: 2, max: 1, hopLimit: 0, terminateHookAbandon: keep}\n", []string{
			"groups[0].terminateHookAbandon: \"keep\" is neither terminate nor retain",
			"groups[0].name: AWS takes at most 255 characters without a colon",
			"groups[0].type: \"x9.large\" is not a known instance type",
			"groups[0]: min 3, desired 2, max 1: want 0 <= min <= desired <= max <= 1000",
			"groups[0].hopLimit: 0 is not in 1 to 64",
			"groups[0].subnets: is missing, and so is zones",
		}},
		{"a zone and a subnet that do not exist", "groups:\n- {name: upf, type: m5.large, zones: [us-west-2z], subnets: [subnet-z]}\n", []string{
			"groups[0].zones: \"us-west-2z\" has no subnet in this topology", "groups[0].subnets: \"subnet-z\" is not a subnet of this topology"}},
		{"two of one name", group("max: 1") + strings.TrimPrefix(group("max: 1"), "groups:\n"), []string{"groups[1].name: upf is used by groups[0].name already"}},
		{"hooks", group("hooks: [{name: 'a b', transition: up, heartbeat: 29s, default: RETRY}]"), []string{
			"groups[0].hooks[0].transition: \"up\" is neither launching nor terminating",
			"groups[0].hooks[0].name: \"a b\" is used twice, or is not a name of letters, digits, - _ and /",
			"groups[0].hooks[0].heartbeat: 29s: AWS takes whole seconds from 30s to 2h",
			"groups[0].hooks[0].default: \"RETRY\" is neither CONTINUE nor ABANDON",
		}},
		{"a heartbeat that is not a duration", group("hooks: [{name: a, transition: launching, heartbeat: soon}]"), []string{
			"groups[0].hooks[0].heartbeat: \"soon\" is not a duration such as \"1.5s\""}},
		{"a warm pool", group("warmPool: {minSize: -1, maxGroupPreparedCapacity: 1001, poolState: Frozen}"), []string{
			"groups[0].warmPool: minSize -1 and maxGroupPreparedCapacity 1001: want 0 to 1000",
			"groups[0].warmPool.poolState: \"Frozen\", want one of [\"Stopped\" \"Running\" \"Hibernated\"]",
		}},
		{"too many hooks", group("hooks: [" + many(MaxHooks+1, "{name: h-%d, transition: launching}, ") + "]"), []string{"groups[0].hooks: 51 hooks, want at most 50"}},
		{"too many groups", "groups:\n" + many(MaxGroups+1, "- {name: g-%d, type: m5.large, zones: [us-west-2a]}\n"), []string{"groups: 201 groups, want at most 200"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Load(strings.NewReader(base + tc.text))
			var got Mistakes
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(Mistakes(tc.want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
