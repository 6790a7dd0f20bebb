package command_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/command"
)

// settings are those that every command needs.
var settings = []string{
	"NODEGROUP_NAME=upf", "NODEGROUP_CLUSTER=telco",
	`NODEGROUP_NETWORKS=[{"name":"n3","subnets":["subnet-3a"],"securityGroups":["sg-1"]}]`,
}

// result is what a command left.
type result struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, environ []string, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := command.Program{Environ: environ, Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr}
	code := p.Run(t.Context(), args)
	return result{code, stdout.String(), stderr.String()}
}

func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		args    []string
		environ []string
		region  string
		want    []string // parts of what is said
	}{
		{"no mode", nil, settings, "us-west-2", []string{"want one of --event, --sweep, --check and --version"}},
		{"two modes", []string{"--sweep", "--check"}, settings, "us-west-2", []string{"want one of"}},
		{"an unknown flag", []string{"--fast"}, settings, "us-west-2", []string{"flag provided but not defined: -fast"}},
		{"a dry run of a check", []string{"--check", "--dry-run"}, settings, "us-west-2", []string{"--dry-run is for --event and --sweep"}},
		{"types without a check", []string{"--sweep", "--instance-type", "m5.large"}, settings, "us-west-2", []string{"--instance-type is for --check"}},
		{"no such file", []string{"--event", "/none.json"}, settings, "us-west-2", []string{"open /none.json"}},
		{"an event that is not JSON", []string{"--event", "-"}, settings, "us-west-2", []string{"the event cannot be read"}},
		{
			"all at once, those of flags, settings and AWS",
			[]string{"--check", "--dry-run", "x"},
			[]string{"NODEGROUP_NAME=a.b", "NODEGROUP_ON_REFUSAL=wait", "NODEGROUP_NETWORK=[]"},
			"", []string{
				"--dry-run is for", `unexpected argument "x"`, `NODEGROUP_NAME: "a.b"`, "NODEGROUP_CLUSTER: is missing", "NODEGROUP_NETWORKS: ",
				`NODEGROUP_ON_REFUSAL: "wait"`, "NODEGROUP_NETWORK: no such setting", "no AWS Region",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("AWS_REGION", tc.region)
			got := run(t, tc.environ, "hello", tc.args...)
			if got.code != 2 {
				t.Errorf("exit code %d", got.code)
			}
			for _, want := range tc.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("no %q in:\n%s", want, got.stderr)
				}
			}
		})
	}
}

func TestWhatNeedsNoSettings(t *testing.T) {
	if got := run(t, nil, "", "--version"); got.code != 0 || !strings.Contains(got.stdout, "commit") {
		t.Errorf("--version: %+v", got)
	}
	got := run(t, nil, "", "--help")
	for _, want := range []string{"--event FILE|-", "--sweep", "--check", "NODEGROUP_*"} {
		if got.code != 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("--help: no %q in %+v", want, got)
		}
	}
}

// TestEventsThatAreIgnored asks nobody: there is no AWS here.
func TestEventsThatAreIgnored(t *testing.T) {
	t.Setenv("AWS_REGION", "us-west-2")
	foreign := `{"source":"aws.autoscaling","detail":{"LifecycleHookName":"drain","EC2InstanceId":"i-1","AutoScalingGroupName":"a","LifecycleTransition":"autoscaling:EC2_INSTANCE_LAUNCHING"}}`
	if got := run(t, settings, foreign, "--event", "-"); got.code != 0 || !strings.Contains(got.stderr, "not one of ours") {
		t.Errorf("got %+v", got)
	}
	got := run(t, settings, foreign, "--event", "-", "--dry-run")
	const want = `{"nodegroup":"upf","instance":"i-1","zone":"","steps":[],"refusals":[],"result":"IGNORE"}` + "\n"
	if got.code != 0 || got.stdout != want {
		t.Errorf("dry run: got %+v", got)
	}
}

// TestNothingOfKubernetesIsLinked holds the function's size and its start.
func TestNothingOfKubernetesIsLinked(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/nodegroup")
	list.Dir = filepath.Join("..", "..")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(pkg, "k8s.io/") || strings.HasPrefix(pkg, "sigs.k8s.io/") {
			t.Errorf("cmd/nodegroup needs %s", pkg)
		}
	}
}
