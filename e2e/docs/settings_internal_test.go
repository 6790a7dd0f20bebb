package docs

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/controller"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	nodegroup "github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
	"github.com/multus-ipmgr/multus-ipmgr/webhook"
)

// rows reads the rows of a page's tables whose first column is code that
// matches the pattern: its name, and the second column without backticks.
func rows(t *testing.T, page, pattern string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `("+pattern+")` \\|([^|]*)\\|").FindAllStringSubmatch(read(t, page), -1) {
		found[row[1]] = strings.Trim(strings.TrimSpace(row[2]), "`")
	}
	return found
}

func TestEverySettingOfTheContainerIsListed(t *testing.T) {
	listed := rows(t, "docs/settings.md", "IPMGR_[A-Z0-9_]+")
	known := map[string]bool{}
	for _, found := range regexp.MustCompile(`= "(IPMGR_[A-Z0-9_]+)"`).FindAllStringSubmatch(read(t, "ipmgr/spec/spec.go"), -1) {
		known[found[1]] = true
		if _, ok := listed[found[1]]; !ok {
			t.Errorf("docs/settings.md does not list %s", found[1])
		}
	}
	for name, text := range listed {
		if !known[name] {
			t.Errorf("docs/settings.md lists %s, which there is not", name)
			continue
		}
		if text == "empty" {
			text = ""
		}
		got, err := spec.Parse([]string{name + "=" + text})
		if err != nil {
			t.Errorf("the default of %s in docs/settings.md: %v", name, err)
		}
		if diff := cmp.Diff(spec.Default(), got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
			t.Errorf("docs/settings.md: %s is %q, which is not its default:\n%s", name, text, diff)
		}
	}
}

func TestEverySettingOfTheNodeGroupIsListed(t *testing.T) {
	listed := rows(t, "docs/settings.md", "NODEGROUP_[A-Z_]+")
	needed := []string{"NODEGROUP_NAME=NAME", "NODEGROUP_CLUSTER=CLUSTER", `NODEGROUP_NETWORKS=[{"name":"a","subnets":["subnet-a"],"securityGroups":["sg-a"]}]`}
	want, err := nodegroup.Parse(needed)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`= "(NODEGROUP_[A-Z_]+)"`).FindAllStringSubmatch(read(t, "nodegroup/spec/parse.go"), -1) {
		text, ok := listed[found[1]]
		if !ok {
			t.Errorf("docs/settings.md does not list %s", found[1])
		}
		delete(listed, found[1])
		if text == "required" || text == "empty" {
			continue
		}
		got, err := nodegroup.Parse(append(slices.Clone(needed), found[1]+"="+text))
		if diff := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got)); err != nil || diff != "" {
			t.Errorf("docs/settings.md: %s is %q, which is not its default: %v\n%s", found[1], text, err, diff)
		}
	}
	for name := range listed {
		t.Errorf("docs/settings.md lists %s, which there is not", name)
	}
}

// TestEveryFieldOfANetworkIsListed holds the table of networks.
func TestEveryFieldOfANetworkIsListed(t *testing.T) {
	listed := rows(t, "docs/settings.md", "[a-z][A-Za-z0-9]*")
	for _, field := range reflect.VisibleFields(reflect.TypeFor[nodegroup.Network]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if _, ok := listed[name]; !ok {
			t.Errorf("docs/settings.md does not list %s", name)
		}
	}
}

// flagLine is a flag in what package flag prints: its name, and on the next
// line what it means and its default.
var flagLine = regexp.MustCompile(`(?m)^  -([A-Za-z-]+).*\n    \t.*?(?:\(default "?([^")]*)"?\))?$`)

func TestEveryFlagIsListed(t *testing.T) {
	var webhookHelp, controllerHelp bytes.Buffer
	_, _ = webhook.ParseOptions([]string{"--help"}, "v0", "", &webhookHelp)
	_, _ = controller.ParseOptions([]string{"--help"}, "v0", "", &controllerHelp)
	for page, help := range map[string]string{
		"docs/settings.md": webhookHelp.String(), "docs/reservations.md": controllerHelp.String(),
	} {
		listed := rows(t, page, "--[a-z-]+")
		for _, flag := range flagLine.FindAllStringSubmatch(help, -1) {
			text, ok := listed["--"+flag[1]]
			if !ok {
				t.Errorf("%s does not list --%s", page, flag[1])
			}
			if flag[2] != "" && text != flag[2] {
				t.Errorf("%s: --%s is %q by default, not %q", page, flag[1], flag[2], text)
			}
			delete(listed, "--"+flag[1])
		}
		for name := range listed {
			t.Errorf("%s lists %s, which there is not", page, name)
		}
	}
}

func TestThePluginsFlagsAreExplained(t *testing.T) {
	page := read(t, "docs/kubectl-ipmgr.md")
	for command, flags := range programFlags(t) {
		if !strings.HasPrefix(command, "kubectl-ipmgr ") {
			continue
		}
		delete(flags, "help")
		delete(flags, "h")
		for name := range flags {
			dashes := "--"
			if len(name) == 1 {
				dashes = "-"
			}
			if !strings.Contains(page, "`"+dashes+name) {
				t.Errorf("docs/kubectl-ipmgr.md does not mention %s%s of %s", dashes, name, command)
			}
		}
	}
}
