package monitoring_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const chart = "../../charts/multus-ipmgr"

// run runs a program that make chart-test builds and names by a variable.
func run(t *testing.T, variable string, arguments ...string) (string, error) {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Skip(variable + " names no program: run make chart-test, which builds it")
	}
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	return said.String(), err
}

// object is what the tests read of a rendered object.
type object struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Data map[string]string `json:"data"`
	Spec struct {
		Groups []group `json:"groups"`
	} `json:"spec"`
}

type group struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// render returns the only object of a template.
func render(t *testing.T, template string, values ...string) object {
	t.Helper()
	text, err := run(t, "HELM", append([]string{
		"template", "multus-ipmgr", chart, "--namespace", "multus-ipmgr-system", "--show-only", "templates/" + template,
	}, values...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var o object
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func groups(t *testing.T) []group {
	t.Helper()
	return render(t, "prometheusrule.yaml", "--set", "metrics.prometheusRule.enabled=true").Spec.Groups
}

// rules returns the alerts by name.
func rules(t *testing.T) map[string]rule {
	t.Helper()
	all := map[string]rule{}
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			if all[r.Alert].Alert != "" {
				t.Errorf("two alerts are named %s", r.Alert)
			}
			all[r.Alert] = r
		}
	}
	if len(all) == 0 {
		t.Fatal("no alerts")
	}
	return all
}

// write writes rules as Prometheus reads them.
func write(t *testing.T, path string, list []group) {
	t.Helper()
	data, err := yaml.Marshal(map[string]any{"groups": list})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cases are the files of promtool's tests, one for each group of alerts.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("files %q, error %v", files, err)
	}
	return files
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	dir := t.TempDir()
	list := groups(t)
	path := filepath.Join(dir, "rules.yaml")
	write(t, path, list)
	if said, err := run(t, "PROMTOOL", "check", "rules", "--lint-fatal", path); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	// promtool compares all annotations: the tests know the summary, which is
	// what the one who is called reads first.
	for _, g := range list {
		for i := range g.Rules {
			g.Rules[i].Annotations = map[string]string{"summary": g.Rules[i].Annotations["summary"]}
		}
	}
	write(t, path, list)
	for _, file := range cases(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		file = filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := run(t, "PROMTOOL", "test", "rules", file); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(file), err, said)
		}
	}
}

// tested returns the names of the alerts that promtool's tests want to fire,
// and of those that they want not to.
func tested(t *testing.T) (fires, rests []string) {
	t.Helper()
	on, off := map[string]bool{}, map[string]bool{}
	for _, file := range cases(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var content struct {
			Tests []struct {
				Alerts []struct {
					Name string `json:"alertname"`
					Want []any  `json:"exp_alerts"`
				} `json:"alert_rule_test"`
			} `json:"tests"`
		}
		if err := yaml.Unmarshal(data, &content); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, test := range content.Tests {
			for _, alert := range test.Alerts {
				on[alert.Name] = on[alert.Name] || len(alert.Want) > 0
				off[alert.Name] = off[alert.Name] || len(alert.Want) == 0
			}
		}
	}
	chosen := func(set map[string]bool) []string {
		maps.DeleteFunc(set, func(_ string, is bool) bool { return !is })
		return slices.Sorted(maps.Keys(set))
	}
	return chosen(on), chosen(off)
}

func TestEveryAlertHasATestInWhichItFiresAndOneInWhichItDoesNot(t *testing.T) {
	names := slices.Sorted(maps.Keys(rules(t)))
	fires, rests := tested(t)
	if diff := cmp.Diff(names, fires); diff != "" {
		t.Errorf("alerts and those of testdata that fire (-chart +tests):\n%s", diff)
	}
	if diff := cmp.Diff(names, rests); diff != "" {
		t.Errorf("alerts and those of testdata that do not fire (-chart +tests):\n%s", diff)
	}
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	page, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	all := rules(t)
	var headings []string
	for _, heading := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(page), -1) {
		headings = append(headings, heading[1])
	}
	slices.Sort(headings)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(all)), headings); diff != "" {
		t.Errorf("alerts and headings of docs/alerts.md (-chart +page):\n%s", diff)
	}
	for name, r := range all {
		a := r.Annotations
		if want := "/docs/alerts.md#" + strings.ToLower(name); !strings.HasSuffix(a["runbook_url"], want) {
			t.Errorf("%s links to %s, want %s", name, a["runbook_url"], want)
		}
		if a["summary"] == "" || len(a["description"]) < 80 || r.Labels["severity"] != "warning" && r.Labels["severity"] != "critical" {
			t.Errorf("%s: %v, %v", name, r.Labels, a)
		}
	}
}

func TestAlertsAskForWhatProgramsExpose(t *testing.T) {
	series := exposed(t)
	for name, r := range rules(t) {
		found, err := faults(r.Expr, series)
		if err != nil || len(found) > 0 {
			t.Errorf("%s: error %v, found %q in %s", name, err, found, r.Expr)
		}
	}
}

func TestPromtoolAndParserAreOfOneRelease(t *testing.T) {
	version := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(regexp.MustCompile(`github\.com/prometheus/prometheus v\S+`).Find(data))
	}
	if ours, tool := version("go.mod"), version("../tools/promtool/go.mod"); ours != tool || ours == "" {
		t.Errorf("%q here, %q in e2e/tools/promtool", ours, tool)
	}
}

func TestScrapeConfigurationOfThePageIsOne(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	config, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/metrics.md shows no configuration")
	}
	path := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := run(t, "PROMTOOL", "check", "config", path); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}
