package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheDemoInjectsTheImageOfTheManifests(t *testing.T) {
	manifest, err := os.ReadFile("../../config/webhook/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for line := range strings.Lines(string(manifest)) {
		if flag := strings.TrimPrefix(strings.TrimSpace(line), "- "); strings.HasPrefix(flag, "--image=") {
			named = append(named, flag)
		}
	}
	if len(named) != 1 || !slices.Contains(webhookSettings("http://10.10.12.2"), named[0]) {
		t.Errorf("settings %q, want those of config/webhook/deployment.yaml: %q", webhookSettings("http://10.10.12.2"), named)
	}
}
