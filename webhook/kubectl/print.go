package kubectl

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// printers are the formats of a report.
func printers() map[string]func(io.Writer, nad.Report) error {
	return map[string]func(io.Writer, nad.Report) error{"table": printTable, "json": printJSON, "yaml": printYAML}
}

func printJSON(w io.Writer, report nad.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // messages hold commands: && stays
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

func printYAML(w io.Writer, report nad.Report) error {
	text, err := yaml.Marshal(report)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// printTable prints for reading: ranges in a table, findings in words, and one
// line that sums them up.
func printTable(w io.Writer, report nad.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(report.Ranges) > 0 {
		fmt.Fprintln(table, "NETWORK\tFIRST\tLAST")
	}
	for _, r := range report.Ranges {
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.Object, r.Start, r.End)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	count := map[nad.Severity]int{}
	for _, f := range report.Findings {
		count[f.Severity]++
		fmt.Fprintf(w, "\n%s %s: %s\n  %s\n  %s\n", f.Severity, f.Rule, f.Object, f.Field, f.Message)
	}
	_, err := fmt.Fprintf(w, "\nranges: %d, errors: %d, warnings: %d\n", len(report.Ranges), count[nad.Error], count[nad.Warning])
	return err
}
