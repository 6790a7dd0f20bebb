package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryTemplateHasASuite looks for templates that no helm-unittest suite
// names; make chart-test runs the suites.
func TestEveryTemplateHasASuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(directory, "tests", "*_test.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no suites: %v", err)
	}
	var suites strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		suites.Write(data)
	}
	err = filepath.WalkDir(filepath.Join(directory, "templates"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".tpl" {
			return err
		}
		name, err := filepath.Rel(directory, path)
		if !strings.Contains(suites.String(), name) {
			t.Errorf("no suite below charts/multus-ipmgr/tests names %s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
