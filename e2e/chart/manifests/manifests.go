// Package manifests makes plain manifests of a rendered chart, so that the two
// cannot differ. What Helm alone reads is left out, comments are kept.
package manifests

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// header says where to change a generated file.
const header = "# Made of charts/multus-ipmgr by make generate; change it there.\n"

var (
	// ofHelm are labels by which Helm knows its objects.
	ofHelm    = regexp.MustCompile(`(?m)^ +(?:helm\.sh/chart|app\.kubernetes\.io/(?:managed-by|instance)): .*\n`)
	component = regexp.MustCompile(`(?m)^ {4}app\.kubernetes\.io/component: (\w+)$`)
)

// monitoring are the templates that need the Prometheus operator or Grafana.
var monitoring = []string{"servicemonitor.yaml", "prometheusrule.yaml", "dashboard.yaml"}

// Split returns the files that a rendered chart is made into, by their paths,
// with a kustomization.yaml for each directory: one for each component, for
// monitoring, and for what cert-manager has a part in. With a variant only the
// webhook's objects are written, to a directory of that name, which takes the
// place of the webhook's and of cert-manager's.
func Split(rendered, variant string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for document := range strings.SplitSeq(rendered, "---\n# Source: ") {
		source, text, _ := strings.Cut(document, "\n")
		if strings.TrimSpace(source) == "" {
			continue
		}
		name, err := place(source, text)
		if err != nil {
			return nil, err
		}
		if variant != "" {
			if path.Dir(name) != "webhook" {
				continue
			}
			name = path.Join(variant, path.Base(name))
		}
		if files[name] == nil {
			files[name] = []byte(header)
		} else {
			files[name] = append(files[name], "---\n"...)
		}
		text = ofHelm.ReplaceAllString(strings.TrimSpace(text)+"\n", "")
		files[name] = append(files[name], text...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the chart renders nothing")
	}
	maps.Copy(files, kustomizations(files))
	return files, nil
}

// place says which file an object belongs into.
func place(source, text string) (string, error) {
	base := path.Base(source)
	if slices.Contains(monitoring, base) {
		return path.Join("monitoring", base), nil
	}
	if strings.Contains(text, "cert-manager.io/") {
		return path.Join("cert-manager", base), nil
	}
	found := component.FindStringSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("an object of %s has no label app.kubernetes.io/component", source)
	}
	return path.Join(found[1], base), nil
}

// kustomizations lists the files of each directory.
func kustomizations(files map[string][]byte) map[string][]byte {
	lists := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list := path.Join(path.Dir(name), "kustomization.yaml")
		if lists[list] == nil {
			lists[list] = []byte(header + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
		}
		lists[list] = append(lists[list], "- "+path.Base(name)+"\n"...)
	}
	return lists
}

// Made reports whether a file was made by Split, so that it may be deleted when
// the chart has nothing for it any more.
func Made(data []byte) bool { return bytes.HasPrefix(data, []byte(header)) }
