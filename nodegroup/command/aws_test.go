package command_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lambdasim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/command"
)

// asFunction has the test's program be nodegroup.
const asFunction = "NODEGROUP_UNDER_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asFunction) == "" {
		os.Exit(m.Run())
	}
	environ := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, asFunction) })
	command.Program{Environ: environ, Stderr: os.Stderr}.Run(context.Background(), nil)
}

const world = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/24, zone: us-west-2a}
- {id: subnet-3a, cidr: 10.10.3.0/24, zone: us-west-2a, tags: {kubernetes.io/role/cni: "0"}}
- {id: subnet-6a, cidr: 10.10.6.0/24, zone: us-west-2a}
- {id: subnet-6b, cidr: 10.10.7.0/24, zone: us-west-2b}
reservations:
- {subnet: subnet-3a, cidr: 10.10.3.128/25, type: explicit}
securityGroups: [{id: sg-1, name: multus, vpc: vpc-1}]
groups:
- name: upf-group
  type: m5.xlarge
  subnets: [subnet-mgmt]
  desired: 1
  tags: {multus-ipmgr.io/cluster: telco, multus-ipmgr.io/nodegroup: upf}
  hooks: [{name: multus-ipmgr/telco/upf, transition: launching, heartbeat: 300s}]
`

// securityGroups is EC2's answer about them, which the simulator does not give.
const securityGroups = `<DescribeSecurityGroupsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><securityGroupInfo>
<item><groupId>sg-1</groupId><vpcId>vpc-1</vpcId></item><item><groupId>sg-far</groupId><vpcId>vpc-2</vpcId></item>
</securityGroupInfo></DescribeSecurityGroupsResponse>`

// newAWS serves a simulated AWS, to which the environment of the test leads.
func newAWS(t *testing.T, topology string) *vpcsim.Sim {
	t.Helper()
	loaded, err := vpcsim.Load(strings.NewReader(topology))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(loaded, vpcsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		switch {
		case form.Get("Action") == "DescribeSecurityGroups":
			_, _ = io.WriteString(w, securityGroups)
		case strings.Contains(r.Header.Get("Authorization"), "/autoscaling/aws4_request"):
			sim.AutoScaling().ServeHTTP(w, r)
		default:
			sim.EC2().ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { server.Close(); sim.Close() })
	for name, value := range map[string]string{
		"AWS_REGION": "us-west-2", "AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY": vpcsim.SecretAccessKey,
	} {
		t.Setenv(name, value)
	}
	if strings.Contains(topology, "desired: 1") && strings.Contains(topology, "hooks:") {
		programs.Within(t, time.Minute, "the worker waits for its hook", func() error {
			if len(sim.Events()) == 0 {
				return errors.New("there is no event")
			}
			return nil
		})
	}
	return sim
}

func withNetworks(json string) []string {
	return append(slices.Clone(settings[:2]), "NODEGROUP_NETWORKS="+json)
}

func TestDryRuns(t *testing.T) {
	sim := newAWS(t, world)
	worker := sim.Groups()[0].Members[0].Instance
	steps := `[{"do":"create","network":"n3","device":1,"card":0,"subnet":"subnet-3a","address":"10.10.3.4","eni":""},` +
		`{"do":"attach","network":"n3","device":1,"card":0,"subnet":"subnet-3a","address":"10.10.3.4","eni":""},` +
		`{"do":"protect","network":"n3","device":1,"card":0,"subnet":"subnet-3a","address":"10.10.3.4","eni":""},` +
		`{"do":"uncheck","network":"n3","device":1,"card":0,"subnet":"subnet-3a","address":"10.10.3.4","eni":""}]`
	missing := `[{"network":"n6","reason":"subnet-missing","message":"no subnet of the network is in zone us-west-2a of instance ` + worker + `; add one to subnets, or keep the group out of the zone"}]`
	for _, tc := range []struct {
		name    string
		environ []string
		args    []string
		code    int
		want    string
	}{
		{"an event", settings, []string{"--event", "-", "--dry-run"}, 0, `"steps":` + steps + `,"refusals":[],"result":"CONTINUE"`},
		{"a sweep", settings, []string{"--sweep", "--dry-run"}, 0, `"steps":` + steps + `,"refusals":[],"result":"CONTINUE"`},
		{
			"a refusal", withNetworks(`[{"name":"n6","subnets":["subnet-6b"],"securityGroups":["sg-1"]}]`), []string{"--event", "-", "--dry-run"}, 3,
			`"steps":[],"refusals":` + missing + `,"result":"WAIT"`,
		},
		{
			"a refusal that abandons", append(withNetworks(`[{"name":"n6","subnets":["subnet-6b"],"securityGroups":["sg-1"]}]`), "NODEGROUP_ON_REFUSAL=abandon"),
			[]string{"--sweep", "--dry-run"}, 3, `"steps":[],"refusals":` + missing + `,"result":"ABANDON"`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, tc.environ, string(sim.Events()[0]), tc.args...)
			want := `{"nodegroup":"upf","instance":"` + worker + `","zone":"us-west-2a",` + tc.want + "}\n"
			if diff := cmp.Diff(want, got.stdout); got.code != tc.code || diff != "" {
				t.Errorf("exit code %d, (-want +got):\n%s\n%s", got.code, diff, got.stderr)
			}
		})
	}
	for _, call := range sim.Calls(true) {
		if !strings.HasPrefix(call.Action, "Describe") && !strings.HasPrefix(call.Action, "Get") {
			t.Errorf("a dry run calls %s", call.Action)
		}
	}
}

func TestAnEventAndASweepByHand(t *testing.T) {
	for _, args := range [][]string{{"--event", "-"}, {"--sweep"}} {
		t.Run(args[0], func(t *testing.T) {
			sim := newAWS(t, world)
			got := run(t, settings, string(sim.Events()[0]), args...)
			if got.code != 0 || strings.Count(got.stderr, `"msg":"outcome"`) != 1 {
				t.Errorf("%+v", got)
			}
			if state := sim.Groups()[0].Members[0].State; state != "InService" {
				t.Errorf("the worker is %s", state)
			}
		})
	}
}

func TestExitCodesOfAWSsAnswers(t *testing.T) {
	for _, tc := range []struct {
		name, settings string
		args           []string
		code           int
	}{
		{"a sweep that is not allowed", `{"deny":["DescribeAutoScalingGroups"]}`, []string{"--sweep"}, 3},
		{"a sweep while EC2 fails", `{"ec2":"failing"}`, []string{"--sweep", "--dry-run"}, 1},
		{"a check while Auto Scaling fails", `{"autoscaling":"failing"}`, []string{"--check"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sim := newAWS(t, world)
			if err := sim.Set(tc.settings); err != nil {
				t.Fatal(err)
			}
			if got := run(t, settings, "", tc.args...); got.code != tc.code || got.stderr == "" {
				t.Errorf("got %+v, want exit code %d", got, tc.code)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	withoutGroup, _, _ := strings.Cut(world, "groups:")
	for _, tc := range []struct {
		name     string
		topology string
		environ  []string
		args     []string
		code     int
		want     []string
	}{
		{name: "all is well", topology: world, environ: settings},
		{
			name: "a network that no worker can have", topology: world, code: 3,
			environ: withNetworks(`[{"name":"n6","subnets":["subnet-6a","subnet-6b","subnet-none"],"securityGroups":["sg-none","sg-far"]}]`),
			want: []string{
				"warning: subnet subnet-6a has no tag kubernetes.io/role/cni=0, which keeps the VPC CNI from taking addresses there",
				"warning: subnet subnet-6b has no tag kubernetes.io/role/cni=0, which keeps the VPC CNI from taking addresses there",
				"refusal: subnet-missing: EC2 does not know subnet subnet-none",
				"refusal: n6: group-missing: EC2 does not know security group sg-none",
				"refusal: n6: group-missing: security group sg-far is of vpc-2, and subnet subnet-6a of vpc-1",
				"refusal: n6: group-missing: security group sg-far is of vpc-2, and subnet subnet-6b of vpc-1",
				"refusal: n6: no-reservation: subnet subnet-6a has no CIDR reservation of type explicit, so workers and pods may get the same address; reserve the pods' range, or set reservation to warn",
			},
		},
		{
			name: "a type that is too small", topology: world, environ: settings, args: []string{"--instance-type", "t3.nano,t9.none"}, code: 3,
			want: []string{"refusal: eni-limit: t9.none takes 0 ENIs, and with 1 more instance (new) would have 2; choose a larger type or fewer networks"},
		},
		{
			name: "a group without our hook, whose tags are not propagated", code: 3, environ: settings,
			topology: strings.NewReplacer("name: multus-ipmgr/telco/upf,", "name: other,", "  desired: 1\n", "  tagsNotPropagated: [multus-ipmgr.io/cluster]\n").Replace(world),
			want: []string{
				"refusal: settings: Auto Scaling group upf-group does not propagate its tags to instances at launch, and workers without them are not touched; set PropagateAtLaunch",
				`warning: Auto Scaling group upf-group has no launch hook ["multus-ipmgr/telco/upf"]: workers would enter service without their ENIs`,
				"warning: no instance type is known, so limits are not checked; name some with --instance-type",
			},
		},
		{
			name: "a hook that lets everybody in", environ: settings, topology: strings.Replace(world, "heartbeat: 300s", "heartbeat: 300s, default: CONTINUE", 1),
			want: []string{"warning: hook multus-ipmgr/telco/upf of Auto Scaling group upf-group lets workers enter service when its time is over; set its default result to ABANDON"},
		},
		{
			name: "a hook that has no time", environ: settings, topology: strings.Replace(world, "heartbeat: 300s", "heartbeat: 60s", 1),
			want: []string{"warning: hook multus-ipmgr/telco/upf of Auto Scaling group upf-group times out after 1m0s; choose at least 2m0s"},
		},
		{
			name: "no group yet", topology: withoutGroup, environ: settings, args: []string{"--instance-type", "m5.large"},
			want: []string{"warning: no Auto Scaling group has the tags multus-ipmgr.io/cluster=telco and multus-ipmgr.io/nodegroup=upf"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			newAWS(t, tc.topology)
			got := run(t, tc.environ, "", append([]string{"--check"}, tc.args...)...)
			want := strings.Join(append(tc.want, ""), "\n")
			if diff := cmp.Diff(want, got.stdout); got.code != tc.code || diff != "" {
				t.Errorf("exit code %d, (-want +got):\n%s\n%s", got.code, diff, got.stderr)
			}
		})
	}
}

// TestAFunctionWithWrongSettings fails each event with all mistakes, in the real
// runtime.
func TestAFunctionWithWrongSettings(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := lambdasim.New(t.Context(), lambdasim.Options{
		Command: []string{program}, Retries: []time.Duration{}, Log: io.Discard,
		Env: []string{asFunction + "=yes", "AWS_REGION=us-west-2", "NODEGROUP_NAME=a.b", "NODEGROUP_ON_REFUSAL=wait"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if err := f.Invoke([]byte(`{"sweep":true}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, try := range f.Tries() {
		for _, want := range []string{"NODEGROUP_NAME", "NODEGROUP_CLUSTER", "NODEGROUP_NETWORKS", "NODEGROUP_ON_REFUSAL"} {
			if !strings.Contains(string(try.Answer), want) {
				t.Errorf("no %s in %s", want, try.Answer)
			}
		}
	}
	if n := len(f.Tries()); n < 2 {
		t.Errorf("%d tries", n)
	}
}
