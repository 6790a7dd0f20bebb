// Command chart writes what of a chart is made of other files: the schema and
// the table of values, of values.yaml, and the CustomResourceDefinitions, of
// config/crd.
package main

//go:generate go run . ../../charts/multus-ipmgr

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/chart/values"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: chart DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// write writes the generated files of the chart in dir.
func write(dir string) error {
	files, err := generate(os.DirFS(dir))
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil { //nolint:gosec // everyone reads it
			return err
		}
	}
	return nil
}

// generate returns the generated files of a chart by name.
func generate(chart fs.FS) (map[string][]byte, error) {
	source, err := fs.ReadFile(chart, "values.yaml")
	if err != nil {
		return nil, err
	}
	list, err := values.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("values.yaml: %w", err)
	}
	schema, err := values.Schema(list)
	if err != nil {
		return nil, err
	}
	page, err := fs.ReadFile(chart, "README.md")
	if err != nil {
		return nil, err
	}
	if page, err = values.Insert(page, list); err != nil {
		return nil, fmt.Errorf("README.md: %w", err)
	}
	return map[string][]byte{
		"values.schema.json":      schema,
		"README.md":               page,
		"crds/reservedcidrs.yaml": config.ReservedCIDRs(),
	}, nil
}
