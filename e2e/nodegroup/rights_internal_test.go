package nodegroup

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requests lists the actions that Go files ask AWS for. An input that has tags
// needs ec2:CreateTags besides.
func requests(t *testing.T, files ...string) map[string]bool {
	t.Helper()
	actions := map[string]bool{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`&(ec2|autoscaling)\.(\w+)Input\{`).FindAllStringSubmatch(string(data), -1) {
			actions[m[1]+":"+m[2]] = true
		}
		if strings.Contains(string(data), "TagSpecifications:") {
			actions["ec2:CreateTags"] = true
		}
	}
	return actions
}

// The function has a right for each call that it can make, and no right for
// another one. What nodegroup --check asks besides is asked with the rights of
// the person who runs it.
func TestTheRoleAllowsWhatIsCalled(t *testing.T) {
	cloud, err := filepath.Glob("../../nodegroup/cloud/*.go")
	if err != nil {
		t.Fatal(err)
	}
	cloud = slices.DeleteFunc(cloud, func(name string) bool {
		return strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "survey.go")
	})
	called := requests(t, cloud...)
	shared := map[string]string{
		"Interfaces": "ec2:DescribeNetworkInterfaces", "Subnets": "ec2:DescribeSubnets", "Reservations": "ec2:GetSubnetCidrReservations",
	}
	if read := requests(t, "../../vpc/read.go"); !slices.Contains(slices.Collect(maps.Keys(read)), "ec2:DescribeSubnets") {
		t.Fatalf("package vpc reads by %v: look where its lists are now", read)
	}
	for _, name := range cloud {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`c\.Client\.(\w+)\(`).FindAllStringSubmatch(string(data), -1) {
			if shared[m[1]] == "" {
				t.Errorf("%s calls vpc.Client.%s, of which this test does not know what it asks for", name, m[1])
			}
			called[shared[m[1]]] = true
		}
	}
	allowed := map[string]bool{"logs:CreateLogStream": false, "logs:PutLogEvents": false, "sqs:SendMessage": false} // which Lambda calls
	statements := list(object(object(list(made(t).properties("FunctionRole")["Policies"])[0])["PolicyDocument"])["Statement"])
	for _, statement := range statements {
		actions := object(statement)["Action"]
		for _, action := range append(list(actions), str(actions)) {
			if _, lambda := allowed[str(action)]; !lambda && str(action) != "" {
				allowed[str(action)] = true
			}
		}
	}
	maps.DeleteFunc(allowed, func(_ string, theirs bool) bool { return !theirs })
	same(t, "called and allowed actions", called, allowed)
}
