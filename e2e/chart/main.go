// Command chart writes what is made of other files: of values.yaml the chart's
// schema and its table of values, of config/crd its CustomResourceDefinitions,
// and of the whole chart the plain manifests of config.
package main

//go:generate go run . ../../charts/multus-ipmgr ../../config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/multus-ipmgr/multus-ipmgr/config"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/chart/manifests"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/chart/values"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chart CHART MANIFESTS")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := write(ctx, os.Args[1], os.Args[2])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// write writes the generated files of the chart, and then the manifests that
// the chart renders.
func write(ctx context.Context, chart, plain string) error {
	files, err := generate(os.DirFS(chart))
	if err != nil {
		return err
	}
	if err := writeAll(chart, files); err != nil {
		return err
	}
	built, err := programs.Build(ctx, os.Stderr, "helm")
	if err != nil {
		return err
	}
	if files, err = plainFiles(ctx, built["helm"], chart); err != nil {
		return err
	}
	return errors.Join(writeAll(plain, files), prune(plain, files))
}

func writeAll(dir string, files map[string][]byte) error {
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // everyone reads it
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // everyone reads it
			return err
		}
	}
	return nil
}

// prune deletes the manifests of earlier charts that this one does not render.
func prune(dir string, files map[string][]byte) error {
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || files[name] != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		data, err := os.ReadFile(path)
		if err != nil || !manifests.Made(data) {
			return err
		}
		return os.Remove(path)
	})
}

// plainFiles returns the manifests of the chart with its defaults and all that
// monitors it, and of a webhook that issues its certificates itself.
func plainFiles(ctx context.Context, helm, chart string) (map[string][]byte, error) {
	all := map[string][]byte{}
	for variant, values := range map[string]string{
		"":             "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true",
		"self-managed": "certificate.mode=selfManaged",
	} {
		text, err := renderPlain(ctx, helm, chart, values)
		if err != nil {
			return nil, err
		}
		files, err := manifests.Split(text, variant)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, files)
	}
	return all, nil
}

func renderPlain(ctx context.Context, helm, chart, values string) (string, error) {
	home, err := os.MkdirTemp("", "helm-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(home) }()
	cmd := exec.CommandContext(ctx, helm, "template", "multus-ipmgr", chart, "--namespace", "multus-ipmgr-system", "--set", values) //nolint:gosec // helm, as e2e/tools built it
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("render the chart: %w\n%s", err, said.String())
	}
	return out.String(), nil
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
