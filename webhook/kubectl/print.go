package kubectl

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/multus-ipmgr/multus-ipmgr/controller/api/v1alpha1"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Formats of a report that kubectl has not, or not so.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// reportOptions say how a report is printed: by kubectl's own flags.
type reportOptions struct {
	flags *genericclioptions.PrintFlags
	write func(io.Writer, nad.Report) error
}

func (o *reportOptions) declare(cmd *cobra.Command) {
	o.flags = genericclioptions.NewPrintFlags("").WithDefaultOutput(formatTable)
	o.flags.NamePrintFlags = nil // a report has no name
	structured := o.flags.JSONYamlPrintFlags
	o.flags.JSONYamlPrintFlags = nil // its flag shows managedFields, of which a report has none
	o.flags.AddFlags(cmd)
	o.flags.JSONYamlPrintFlags = structured
	cmd.Flag("output").Usage = "`format` of the report: table, json, yaml, kyaml, jsonpath=TEMPLATE or go-template=TEMPLATE"
	complete(cmd, "output", formatTable, formatJSON, "yaml", "kyaml", "jsonpath=", "go-template=")
}

// validate chooses the printer.
func (o *reportOptions) validate() error {
	templated := *o.flags.TemplatePrinterFlags.TemplateArgument != ""
	switch format := *o.flags.OutputFormat; {
	case format == formatTable && (!templated || o.flags.OutputFlagSpecified()):
		o.write = printTable
		return nil
	case format == formatJSON:
		o.write = printJSON
		return nil
	}
	printer, err := o.flags.ToPrinter()
	if genericclioptions.IsNoCompatiblePrinterError(err) {
		return fmt.Errorf("-o %s: want table, json or yaml (or kyaml, jsonpath=TEMPLATE, go-template=TEMPLATE)", *o.flags.OutputFormat)
	}
	if err != nil {
		return fmt.Errorf("-o %s: %w", *o.flags.OutputFormat, err)
	}
	o.write = func(w io.Writer, report nad.Report) error { return printer.PrintObj(&reportObject{report}, w) }
	return nil
}

// reportObject makes a report an object for kubectl's printers. It is printed
// without apiVersion and kind: nobody applies it.
type reportObject struct{ nad.Report }

// GetObjectKind implements runtime.Object.
func (*reportObject) GetObjectKind() schema.ObjectKind {
	return &runtime.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Report"}
}

// DeepCopyObject implements runtime.Object. Printers change nothing.
func (o *reportObject) DeepCopyObject() runtime.Object { return o }

// printJSON is not kubectl's printer, which escapes the && of commands in
// messages.
func printJSON(w io.Writer, report nad.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
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
