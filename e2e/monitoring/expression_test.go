package monitoring_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// ofTargets are the labels that a scrape adds to every series.
var ofTargets = []string{"namespace", "pod", "job", "instance", "service", "container", "endpoint"}

// exposed reads docs/metrics.md: the labels of the series by their names, those
// of the scrape among them.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	series := map[string][]string{}
	row := regexp.MustCompile("(?m)^\\| `(multus_ipmgr_[a-z0-9_]+)(?:\\{([a-z_,]+)\\})?` \\| (counter|gauge|histogram) \\|")
	for _, cells := range row.FindAllStringSubmatch(string(page), -1) {
		name, names := cells[1], slices.Concat(strings.Split(cells[2], ","), ofTargets)
		if cells[3] == "histogram" {
			series[name+"_bucket"], series[name+"_sum"], series[name+"_count"] = append(names, "le"), names, names
			continue
		}
		series[name] = append(series[name], names...) // several programs may expose it
	}
	if len(series) < 10 {
		t.Fatalf("docs/metrics.md lists %d series", len(series))
	}
	return series
}

// faults parses an expression and returns what of it no program exposes.
func faults(expr string, series map[string][]string) ([]string, error) {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, err
	}
	var found []string
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			found = append(found, selected(n, series)...)
		case *parser.AggregateExpr:
			found = append(found, unknown("grouped by", n.Grouping, below(n.Expr, series))...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil && n.VectorMatching.On {
				found = append(found, unknown("matched on", n.VectorMatching.MatchingLabels, below(n.LHS, series))...)
				found = append(found, unknown("matched on", n.VectorMatching.MatchingLabels, below(n.RHS, series))...)
			}
		}
		return nil
	})
	return found, nil
}

func selected(n *parser.VectorSelector, series map[string][]string) []string {
	known, exists := series[n.Name]
	if !exists {
		return []string{fmt.Sprintf("no program exposes %q", n.Name)}
	}
	var names []string
	for _, m := range n.LabelMatchers {
		if m.Name != "__name__" {
			names = append(names, m.Name)
		}
	}
	return unknown("selected by", names, known)
}

func unknown(how string, names, known []string) []string {
	var found []string
	for _, name := range names {
		if !slices.Contains(known, name) {
			found = append(found, fmt.Sprintf("%s %q, which none of the series has", how, name))
		}
	}
	return found
}

// below returns the labels of all series in an expression.
func below(tree parser.Expr, series map[string][]string) []string {
	all := map[string]bool{}
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		if n, ok := node.(*parser.VectorSelector); ok {
			for _, name := range series[n.Name] {
				all[name] = true
			}
		}
		return nil
	})
	return slices.Collect(maps.Keys(all))
}

func TestFaultsOfExpressionsAreFound(t *testing.T) {
	series := exposed(t)
	for expr, want := range map[string]string{
		`rate(multus_ipmgr_admissions_total{decision="denied"}[5m])`: "",
		`multus_ipmgr_nothing`:                                           `no program exposes "multus_ipmgr_nothing"`,
		`multus_ipmgr_ready{decision="denied"}`:                          `selected by "decision"`,
		`sum by (reason) (rate(multus_ipmgr_ec2_calls_total[5m]))`:       `grouped by "reason"`,
		`multus_ipmgr_ready / on (eni) multus_ipmgr_ready`:               `matched on "eni"`,
		`sum by (le) (rate(multus_ipmgr_admissions_total[5m]))`:          `grouped by "le"`,
		`rate(multus_ipmgr_admission_duration_seconds[5m])`:              "no program exposes",
		`sum by (le) (multus_ipmgr_admission_duration_seconds_bucket{})`: "",
	} {
		found, err := faults(expr, series)
		if err != nil || strings.Contains(strings.Join(found, "; "), want) != (want != "" || len(found) == 0) || (want == "" && len(found) > 0) {
			t.Errorf("%s: found %q, error %v, want %q", expr, found, err, want)
		}
	}
	if _, err := faults("sum by (", series); err == nil {
		t.Error("half an expression is parsed")
	}
}
