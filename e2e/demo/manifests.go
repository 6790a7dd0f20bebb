package main

import (
	_ "embed" // the manifests
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cluster"
)

//go:embed session.yaml
var sessionYAML []byte

//go:embed planned.yaml
var plannedYAML []byte

// objects are those of a manifest.
type objects struct {
	nads       []*cluster.NAD
	pods       []*corev1.Pod
	deployment *appsv1.Deployment // the last one
}

// load reads a manifest of the kinds that the demo plays.
func load(manifest []byte) (objects, error) {
	var all objects
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			return all, fmt.Errorf("manifest: %w", err)
		}
		var object any
		switch kind.Kind {
		case "NetworkAttachmentDefinition":
			n := &cluster.NAD{}
			all.nads, object = append(all.nads, n), n
		case "Pod":
			p := &corev1.Pod{}
			all.pods, object = append(all.pods, p), p
		case "Deployment":
			all.deployment = &appsv1.Deployment{}
			object = all.deployment
		default:
			return all, fmt.Errorf("manifest: the demo does not play a %q", kind.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			return all, fmt.Errorf("manifest: %s: %w", kind.Kind, err)
		}
	}
	return all, nil
}
