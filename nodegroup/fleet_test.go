package nodegroup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/cloud"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// hook is the name of the launch hook, and ending that of one for terminations.
const (
	hook   = "multus-ipmgr/telco/upf"
	ending = "multus-ipmgr/telco/upf-end"
)

// scalingGroup is an Auto Scaling group of the node group upf, with more lines.
func scalingGroup(more ...string) string {
	return strings.ReplaceAll(ground, "instances:\n", "") + "settings: {pendingTime: 12s, stoppingTime: 20s}\ngroups:\n" + groupOf("telco", "upf", more...)
}

// groupOf is a group of a cluster and a node group.
func groupOf(cluster, name string, more ...string) string {
	lines := fmt.Sprintf(`- name: %[1]s-%[2]s
  type: m5.xlarge
  max: 60
  tags: {multus-ipmgr.io/cluster: %[1]s, multus-ipmgr.io/nodegroup: %[2]s}
`, cluster, name)
	if !slices.ContainsFunc(more, func(line string) bool { return strings.HasPrefix(line, "subnets:") }) {
		more = append(more, "subnets: [subnet-mgmt]")
	}
	if !slices.ContainsFunc(more, func(line string) bool { return strings.HasPrefix(line, "hooks:") }) {
		more = append(more, fmt.Sprintf("hooks: [{name: multus-ipmgr/%s/%s, transition: launching, heartbeat: 300s}]", cluster, name))
	}
	for _, line := range more {
		lines += "  " + line + "\n"
	}
	return lines
}

// fleet is a node group on Lambda in front of a simulated VPC: events come as
// EventBridge brings them, and invocations that fail are tried again.
type fleet struct {
	*rig

	scaling *autoscaling.Client
	// settings are what the function has; configure changes them while it may run.
	mu       sync.Mutex
	settings spec.Settings
	handler  http.Handler
	logs     logs
	running  sync.WaitGroup
	stopped  chan struct{}
	// timeout is the function's.
	timeout time.Duration
}

// logs are what all invocations logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// line is what tests look at in a line of the log.
type line struct {
	Msg, Instance, Result, Reason, Error string
	Calls                                int
	Duration                             float64
}

// outcomes returns the lines that say what became of instances, since the last
// time.
func (l *logs) outcomes(t *testing.T) []line {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []line
	for text := range bytes.Lines(l.buf.Bytes()) {
		var one line
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if one.Msg == "outcome" {
			list = append(list, one)
		}
	}
	l.buf.Reset()
	return list
}

// count is how often a text was logged.
func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.buf.Bytes(), []byte(text))
}

// inGroups runs a test in a bubble, with groups that are empty.
func inGroups(t *testing.T, topology string, test func(*fleet)) {
	t.Helper()
	loaded, err := vpcsim.Load(strings.NewReader(topology))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sim, err := vpcsim.New(loaded, vpcsim.Options{Rand: rand.NewPCG(1, 2)})
		if err != nil {
			t.Fatal(err)
		}
		f := &fleet{
			rig: &rig{t: t, sim: sim}, stopped: make(chan struct{}), timeout: 2 * time.Minute,
			settings: spec.Settings{Name: "upf", Cluster: "telco", Hooks: []string{hook}, Networks: networks(), OnRefusal: spec.OnRefusalAuto, SweepAge: spec.DefaultSweepAge},
		}
		f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Authorization"), "/autoscaling/aws4_request") {
				sim.AutoScaling().ServeHTTP(w, r)
				return
			}
			sim.EC2().ServeHTTP(w, r)
		})
		config := configuration(&pipe{handler: f.handler})
		f.admin = ec2.NewFromConfig(config, func(o *ec2.Options) { o.Retryer = aws.NopRetryer{} })
		f.scaling = autoscaling.NewFromConfig(config, func(o *autoscaling.Options) { o.Retryer = aws.NopRetryer{} })
		sim.Subscribe(f.deliver)
		test(f)
		f.stop()
		sim.Close()
	})
}

// stop ends all invocations.
func (f *fleet) stop() {
	close(f.stopped)
	synctest.Wait() // deliveries that have begun are counted now
	f.running.Wait()
}

// function is what one invocation runs.
func (f *fleet) function() *nodegroup.Function {
	return f.functionBy(&pipe{handler: f.handler})
}

// configure changes the function's settings.
func (f *fleet) configure(change func(*spec.Settings)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settings.Networks = slices.Clone(f.settings.Networks) // invocations under way have the old ones
	change(&f.settings)
}

func (f *fleet) functionBy(p *pipe) *nodegroup.Function {
	f.mu.Lock()
	defer f.mu.Unlock()
	client := vpc.New(vpc.Options{
		Name: "test", Version: "0", Count: nodegroup.Count,
		Config: func(context.Context) (aws.Config, error) { return configuration(p), nil },
	})
	scaling := cloud.NewScaling(client, f.settings.Cluster, f.settings.Name)
	return &nodegroup.Function{Scaling: scaling, Group: &nodegroup.Group{
		Settings: f.settings, Peers: scaling, Random: rand.Float64,
		Cloud: &cloud.Cloud{Client: client, Cluster: f.settings.Cluster, NodeGroup: f.settings.Name},
		Log:   slog.New(slog.NewJSONHandler(&f.logs, nil)),
	}}
}

// deliver does what Lambda does with an event: it is tried three times.
func (f *fleet) deliver(data []byte) {
	f.running.Add(1)
	defer f.running.Done()
	for _, pause := range []time.Duration{0, time.Minute, 2 * time.Minute} {
		select {
		case <-f.stopped:
			return
		case <-time.After(pause):
		}
		if f.invoke(data) == nil {
			return
		}
	}
}

func (f *fleet) invoke(data []byte) error {
	ctx, cancel := context.WithTimeout(f.t.Context(), f.timeout)
	defer cancel()
	go func() {
		select {
		case <-f.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	return f.function().Handle(ctx, data)
}

// sweepEachMinute does what the rule does.
func (f *fleet) sweepEachMinute() {
	f.running.Go(func() {
		for tick := time.NewTicker(time.Minute); ; {
			select {
			case <-f.stopped:
				tick.Stop()
				return
			case <-tick.C:
				f.running.Go(func() { _ = f.invoke([]byte(`{"sweep":true}`)) })
			}
		}
	})
}

// resize sets a group's size and returns the events' instances later.
func (f *fleet) resize(group string, n int32) {
	f.t.Helper()
	_, err := f.scaling.SetDesiredCapacity(f.t.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &group, DesiredCapacity: &n})
	if err != nil {
		f.t.Fatal(err)
	}
}

// wait lets time pass.
func (f *fleet) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// members lists the members of all groups by id, those of warm pools included.
func (f *fleet) members() map[string]string {
	states := map[string]string{}
	for _, g := range f.sim.Groups() {
		for _, m := range slices.Concat(g.Members, g.Pool) {
			states[m.Instance] = m.State
		}
	}
	return states
}

// ids lists the members of a group.
func (f *fleet) ids(group string) []string {
	var ids []string
	for _, g := range f.sim.Groups() {
		if g.Name != group {
			continue
		}
		for _, m := range slices.Concat(g.Members, g.Pool) {
			ids = append(ids, m.Instance)
		}
	}
	slices.Sort(ids)
	return ids
}

// one returns the only member.
func (f *fleet) one() string {
	f.t.Helper()
	ids := f.ids("telco-upf")
	if len(ids) != 1 {
		f.t.Fatalf("members %q, want one", ids)
	}
	return ids[0]
}

// wantStates checks how many members are in each state.
func (f *fleet) wantStates(want ...string) {
	f.t.Helper()
	var got []string
	for _, state := range f.members() {
		got = append(got, state)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		f.t.Errorf("members are %q, want %q", got, want)
	}
}

// wantOutcomes checks what became of how many instances: RESULT REASON.
func (f *fleet) wantOutcomes(want ...string) {
	f.t.Helper()
	var got []string
	for _, o := range f.logs.outcomes(f.t) {
		got = append(got, strings.TrimSpace(o.Result+" "+o.Reason))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		f.t.Errorf("outcomes %q, want %q", got, want)
	}
}

// calls counts the calls of the two services since the last time, and lists
// those that write.
func (f *fleet) callsOf() (ec2, scaling int, writes []string) {
	for _, action := range f.actions() {
		name, _, _ := strings.Cut(action, " ")
		switch {
		case strings.Contains(name, "AutoScaling"), strings.Contains(name, "Lifecycle"), name == "DescribeWarmPool", name == "SetDesiredCapacity":
			scaling++
		default:
			ec2++
		}
		if !strings.HasPrefix(name, "Describe") && !strings.HasPrefix(name, "Get") {
			writes = append(writes, name)
		}
	}
	return ec2, scaling, writes
}
