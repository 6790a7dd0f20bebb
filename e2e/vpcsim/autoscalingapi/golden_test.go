package autoscalingapi

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscaling"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// golden returns the folder of AWS's Auto Scaling client: it has one request and
// one answer of each operation with everything set.
func golden(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/aws/aws-sdk-go-v2/service/autoscaling").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dir := strings.TrimSpace(string(out))
	if _, err := os.Stat(filepath.Join(dir, "request_snapshot")); err != nil {
		t.Skipf("the module cache has no snapshots: %v", err)
	}
	return dir
}

// lastLine returns the body of a snapshot.
func lastLine(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(string(data))
	return text[strings.LastIndex(text, "\n")+1:]
}

// TestParametersExistInAWS proves that the simulator accepts no parameter that
// Auto Scaling does not have.
func TestParametersExistInAWS(t *testing.T) {
	dir := golden(t)
	for name, act := range actions() {
		p, err := query.ParseQuery(lastLine(t, filepath.Join(dir, "request_snapshot", name+".request.snap")))
		if err != nil || p["Version"] != Version {
			t.Fatalf("%s: version %q, %v", name, p["Version"], err)
		}
		shapes := map[string]bool{}
		for parameter := range p {
			shapes[query.Shape(parameter)] = true
		}
		for _, shape := range act.params {
			if !shapes[shape] {
				t.Errorf("%s: Auto Scaling has no parameter %s", name, shape)
			}
		}
	}
}

// TestAnswersHaveAWSsElements proves that the answers have no element that Auto
// Scaling's do not have.
func TestAnswersHaveAWSsElements(t *testing.T) {
	dir := golden(t)
	a := &API{World: &world.World{Region: "us-west-2"}}
	g := autoscaling.Group{
		Group: topology.Group{
			Name: "g", Tags: []topology.GroupTag{{Key: "k", Value: "v"}}, WarmPool: &topology.WarmPool{MaxPrepared: 1}, Retain: true,
		},
		Zones: []string{"us-west-2a"}, Members: []autoscaling.Member{{Instance: "i-1", Zone: "us-west-2a"}}, Pool: []autoscaling.Member{{}},
	}
	member := a.member(g.Members[0])
	member.Group = "g"
	for name, shape := range map[string]any{
		"DescribeAutoScalingGroups":           a.group(g),
		"DescribeAutoScalingInstances":        member,
		"DescribeLifecycleHooks":              hookShape{Metadata: "m"},
		"DescribeWarmPool":                    pool(g),
		"TerminateInstanceInAutoScalingGroup": activity{},
	} {
		text, err := xml.Marshal(shape)
		if err != nil {
			t.Fatal(err)
		}
		known := elements(t, lastLine(t, filepath.Join(dir, "response_snapshot", name+".response.snap")))
		for path := range elements(t, string(text)) {
			_, path, _ = strings.Cut(path, "/") // the name of our type
			if path != "" && !hasEnd(known, path) {
				t.Errorf("%s: Auto Scaling has no element %s", name, path)
			}
		}
	}
}

// hasEnd reports whether a path below some other one exists.
func hasEnd(known map[string]bool, path string) bool {
	for k := range known {
		if strings.HasSuffix(k, "/"+path) {
			return true
		}
	}
	return false
}

// elements lists the paths of all elements.
func elements(t *testing.T, text string) map[string]bool {
	t.Helper()
	found, path := map[string]bool{}, []string{}
	for dec := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := dec.Token()
		switch {
		case errors.Is(err, io.EOF):
			return found
		case err != nil:
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			path = append(path, e.Name.Local)
			found[strings.Join(path, "/")] = true
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
}
