package main

import (
	"strings"
	"testing"
)

// The schema of ReservedCIDR has rules about CIDRs, which an API server judges
// from 1.31 on. Helm compares the version before it renders anything, so that no
// template could say it better.
func TestAnOldClusterIsRefusedInASentence(t *testing.T) {
	for version, refused := range map[string]bool{
		"v1.29.3": true, "v1.30.14": true, "v1.30.14-eks-6aeb2b6": true, "v1.31.0": false, "v1.31.13-eks-113cf36": false, "v1.36.0": false,
	} {
		out, err := template(t, "--kube-version", version)
		want := "chart requires kubeVersion: >=1.31.0-0 which is incompatible with Kubernetes " + version
		if refused != (err != nil) || refused && !strings.Contains(out, want) {
			t.Errorf("Kubernetes %s: error %v, want one: %t\n%.400s", version, err, refused, out)
		}
	}
}
