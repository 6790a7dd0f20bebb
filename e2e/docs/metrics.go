package docs

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// prefix of the project's own metrics. Those of Go, the process and libraries
// are theirs to document.
const prefix = "multus_ipmgr_"

// Metrics are the names of labels, sorted, by the names of metrics.
type Metrics map[string][]string

var (
	row    = regexp.MustCompile("^\\| `(" + prefix + "[a-z0-9_]+)(?:\\{([a-z_,]*)\\})?` \\| (counter|gauge|histogram) \\| .+ \\|$")
	sample = regexp.MustCompile(`^(` + prefix + `[a-z0-9_]+)(\{.*\})? \S+$`)
	label  = regexp.MustCompile(`([a-z_]+)="(?:[^"\\]|\\.)*"`)
	series = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// ReadMetrics returns the metrics in the section of a page that has this heading.
func ReadMetrics(path, heading string) (Metrics, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found, inside := Metrics{}, false
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			inside = strings.TrimLeft(line, "# ") == heading
		case inside && strings.HasPrefix(line, "| `"):
			cells := row.FindStringSubmatch(line)
			if cells == nil {
				return nil, fmt.Errorf("%s: %q is not | `name{labels}` | type | meaning |", path, line)
			}
			found[cells[1]] = sorted(strings.Split(cells[2], ","))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no metrics below a heading %q", path, heading)
	}
	return found, nil
}

// ExposedMetrics returns the project's metrics in what a program answers to a scrape,
// in Prometheus's text format.
func ExposedMetrics(exposition string) Metrics {
	found := Metrics{}
	for line := range strings.Lines(exposition) {
		parts := sample.FindStringSubmatch(strings.TrimSpace(line))
		if parts == nil {
			continue
		}
		name, histogram := parts[1], strings.Contains(exposition, "# TYPE "+series.ReplaceAllString(parts[1], "")+" histogram\n")
		if histogram {
			name = series.ReplaceAllString(name, "")
		}
		var labels []string
		for _, pair := range label.FindAllStringSubmatch(parts[2], -1) {
			if !histogram || pair[1] != "le" {
				labels = append(labels, pair[1])
			}
		}
		found[name] = sorted(labels)
	}
	return found
}

// MetricDifferences returns how the metrics below a heading of the page differ from
// those in an exposition, which must have at least one series of each; nothing
// if they do not.
func MetricDifferences(path, heading, exposition string) (string, error) {
	documented, err := ReadMetrics(path, heading)
	if err != nil {
		return "", err
	}
	return cmp.Diff(documented, ExposedMetrics(exposition)), nil
}

func sorted(labels []string) []string {
	labels = slices.DeleteFunc(labels, func(l string) bool { return l == "" })
	slices.Sort(labels)
	return append([]string{}, slices.Compact(labels)...)
}
