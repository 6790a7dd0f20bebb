package nodegroup

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

const page = "../../docs/nodegroups.md"

// deployed are the parameters of the page's example.
func deployed(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(string(data), "--parameter-overrides")
	command, _, _ = strings.Cut(command, "```")
	given := map[string]string{}
	for _, m := range regexp.MustCompile(`([A-Z]\w+)=('[^']*'|\S+)`).FindAllStringSubmatch(command, -1) {
		given[m[1]] = strings.Trim(m[2], "'")
	}
	return given
}

func TestTheExampleOfThePageIsAStack(t *testing.T) {
	given := deployed(t)
	declared := object(readTemplate(t)["Parameters"])
	for name, value := range given {
		parameter := object(declared[name])
		if parameter == nil {
			t.Errorf("the template has no parameter %s", name)
			continue
		}
		if pattern := str(parameter["AllowedPattern"]); pattern != "" && !regexp.MustCompile("^("+pattern+")$").MatchString(value) {
			t.Errorf("%s=%s does not match %s", name, value, pattern)
		}
	}
	for name, declaration := range declared {
		if _, optional := object(declaration)["Default"]; !optional && given[name] == "" {
			t.Errorf("the example does not give %s", name)
		}
	}
	networks, err := spec.ParseNetworks([]byte(given["Networks"]))
	if err != nil {
		t.Fatal(err)
	}
	var subnets, groups []string
	for _, n := range networks {
		subnets, groups = append(subnets, n.Subnets...), append(groups, n.SecurityGroups...)
	}
	same(t, "networks, their subnets and their groups", map[string]string{
		"NetworkCount": given["NetworkCount"], "NetworkSubnets": given["NetworkSubnets"], "NetworkSecurityGroups": given["NetworkSecurityGroups"],
	}, map[string]string{
		"NetworkCount": string(rune('0' + len(networks))), "NetworkSubnets": strings.Join(subnets, ","), "NetworkSecurityGroups": strings.Join(groups, ","),
	})
}

// The page says of each reason whether it is held, and what to do.
func TestThePageHasEachReasonOfARefusal(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got, want := map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| (yes|no) \\| .{10}").FindAllStringSubmatch(string(data), -1) {
		got[m[1]] = m[2]
	}
	for _, reason := range spec.Reasons() {
		want[string(reason)] = map[bool]string{true: "yes", false: "no"}[spec.OnRefusalAuto.Holds(reason)]
	}
	same(t, "reasons", want, got)
}

// Patterns of parameters accept what they are for and nothing that would end
// up elsewhere than meant.
func TestPatternsOfParameters(t *testing.T) {
	for name, tc := range map[string]struct{ good, bad []string }{
		"NodeGroupName":  {[]string{"upf", "a", "upf-1_b"}, []string{"", "upf.1", "-upf", "upf-", "a b", strings.Repeat("a", 64)}},
		"ClusterName":    {[]string{"telco", "t_1-x"}, []string{"", "-x", "a/b", strings.Repeat("a", 101)}},
		"HostNames":      {[]string{"", "1=eth1", "1=eth1 2=eth2", "1.1=n6", "1=a.b_c-d"}, []string{"1", "0=eth0", "1=", "1=-x", "1=eth1,2=eth2", `1="`, "1=%n", "1=0123456789abcdef"}},
		"NodeLabels":     {[]string{"", "a=b", "a.b/c=d,e="}, []string{"a", "a=b,", `a="b"`, "a=b c"}},
		"ServiceCidr":    {[]string{"", "172.20.0.0/16", "fd00::/108"}, []string{"172.20.0.0", `1.0.0.0/8"`}},
		"PodReservation": {[]string{"", "subnet-0a1b=10.0.0.0/28", "subnet-0a1b=2600:1f13::/80"}, []string{"10.0.0.0/28", "subnet-0a1b", "subnet-0a1b=10.0.0.0"}},
		"InstanceTypes":  {[]string{"m6i.4xlarge", "u-6tb1.metal"}, []string{"", "m6i", "m6i.4xlarge m7i.4xlarge"}},
		"AlarmTopic":     {[]string{"", "arn:aws:sns:us-west-2:111122223333:oncall", "arn:aws-us-gov:sns:us-gov-west-1:111122223333:a.fifo"}, []string{"oncall", "arn:aws:sqs:us-west-2:111122223333:q"}},
	} {
		names := []string{name}
		if name == "PodReservation" {
			names = slices.DeleteFunc(slices.Collect(maps.Keys(object(readTemplate(t)["Parameters"]))), func(n string) bool { return !strings.HasPrefix(n, name) })
		}
		for _, name := range names {
			pattern := regexp.MustCompile("^(?:" + str(object(object(readTemplate(t)["Parameters"])[name])["AllowedPattern"]) + ")$")
			for _, value := range tc.good {
				if !pattern.MatchString(value) {
					t.Errorf("%s refuses %q", name, value)
				}
			}
			for _, value := range tc.bad {
				if pattern.MatchString(value) {
					t.Errorf("%s accepts %q", name, value)
				}
			}
		}
	}
}
