package docs

import (
	"regexp"
	"strings"
	"testing"
)

var (
	chartVersion = regexp.MustCompile(`(?m)^kubeVersion: ">=(1\.\d+)\.0-0"$`)
	pageVersion  = regexp.MustCompile(`Kubernetes (1\.\d+)`)
)

// Pages that name a version of Kubernetes name the one that the chart needs.
func TestTheKubernetesVersionIsTheChartsEverywhere(t *testing.T) {
	found := chartVersion.FindStringSubmatch(read(t, "charts/multus-ipmgr/Chart.yaml"))
	if found == nil {
		t.Fatal("Chart.yaml has no kubeVersion of the form >=1.N.0-0")
	}
	said := map[string]bool{}
	for name := range readRepository(t).pages {
		if name == "CHANGELOG.md" {
			continue
		}
		for _, version := range pageVersion.FindAllStringSubmatch(strings.ReplaceAll(read(t, name), "\n", " "), -1) {
			said[name] = true
			if version[1] != found[1] {
				t.Errorf("%s: %s, and the chart needs %s", name, version[0], found[1])
			}
		}
	}
	for _, name := range []string{"charts/multus-ipmgr/README.md", "docs/installation.md", "docs/reservations.md"} {
		if !said[name] {
			t.Errorf("%s does not say that Kubernetes %s is needed", name, found[1])
		}
	}
}
