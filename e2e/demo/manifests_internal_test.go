package main

import (
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/config/samples"
)

func TestTheManifestsAreWhatTheStoryTells(t *testing.T) {
	for name, test := range map[string]struct {
		manifest   []byte
		nads, pods int
		deployment bool
	}{
		"the article's network and Deployment": {samples.Whereabouts(), 1, 0, true},
		"two pods with a floating address":     {sessionYAML, 1, 2, false},
		"a network that nobody reserved":       {plannedYAML, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := load(test.manifest)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.nads) != test.nads || len(got.pods) != test.pods || (got.deployment != nil) != test.deployment {
				t.Errorf("objects %+v", got)
			}
		})
	}
	sample, err := load(samples.Whereabouts())
	if err != nil {
		t.Fatal(err)
	}
	if *sample.deployment.Spec.Replicas < 3 {
		t.Errorf("%d replicas: two workers and a pair on one of them need 3", *sample.deployment.Spec.Replicas)
	}
}

func TestAManifestThatIsNotPlayedIsRefused(t *testing.T) {
	for manifest, want := range map[string]string{
		"kind: Service":             `does not play a "Service"`,
		"kind: [":                   "manifest",
		"kind: Pod\nspeck: {a: b}":  "speck",
		"apiVersion: v1\nmetadata:": `does not play a ""`,
	} {
		if _, err := load([]byte(manifest)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", manifest, err, want)
		}
	}
}
