package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/docs"
)

const page = "# Page\n| `multus_ipmgr_other` | gauge | of another section |\n## Here\n\n" +
	"| metric | type | meaning |\n|---|---|---|\n| `multus_ipmgr_calls_total{code,action}` | counter | calls |\n" +
	"| `multus_ipmgr_took_seconds` | histogram | time |\n## There\n| `multus_ipmgr_else` | gauge | of another section |\n"

const exposition = `# TYPE go_threads gauge
go_threads 7
# HELP multus_ipmgr_calls_total Calls.
# TYPE multus_ipmgr_calls_total counter
multus_ipmgr_calls_total{action="A",code="odd \"le=\" {code}"} 1
# TYPE multus_ipmgr_took_seconds histogram
multus_ipmgr_took_seconds_bucket{le="+Inf"} 1
multus_ipmgr_took_seconds_sum 1e-05
multus_ipmgr_took_seconds_count 1
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPageAndProgramAgree(t *testing.T) {
	if diff, err := docs.MetricDifferences(write(t, page), "Here", exposition); err != nil || diff != "" {
		t.Errorf("error %v, differences\n%s", err, diff)
	}
}

func TestDifferencesAreTold(t *testing.T) {
	for name, exposition := range map[string]string{
		"a metric is missing":       strings.ReplaceAll(exposition, "multus_ipmgr_calls_total{", "# "),
		"a metric is new":           exposition + "multus_ipmgr_new 1\n",
		"a label is missing":        strings.Replace(exposition, `action="A",`, "", 1),
		"a label is new":            strings.Replace(exposition, `action="A"`, `action="A",eni="e"`, 1),
		"a histogram is a counter?": strings.Replace(exposition, "seconds histogram", "seconds gauge", 1),
	} {
		if diff, err := docs.MetricDifferences(write(t, page), "Here", exposition); err != nil || diff == "" {
			t.Errorf("%s: error %v, differences %q", name, err, diff)
		}
	}
}

func TestSamplesAreReadByNameAndLabels(t *testing.T) {
	want := docs.Metrics{"multus_ipmgr_calls_total": {"action", "code"}, "multus_ipmgr_took_seconds": {}}
	if diff := cmp.Diff(want, docs.ExposedMetrics(exposition)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestPagesThatCannotBeReadAreErrors(t *testing.T) {
	for text, want := range map[string]string{
		"## Here\n| `multus_ipmgr_a` | rate | a |\n": "is not | `name{labels}` | type | meaning |",
		"## There\n| `multus_ipmgr_a` | gauge | a |": `no metrics below a heading "Here"`,
	} {
		if _, err := docs.ReadMetrics(write(t, text), "Here"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := docs.ReadMetrics(filepath.Join(t.TempDir(), "none.md"), "Here"); err == nil {
		t.Error("a page that is not there is read")
	}
}
