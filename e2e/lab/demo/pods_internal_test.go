package main

import (
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/ledger"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

func judge(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Error(err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestPodsWithoutTheContainerAreNoticed(t *testing.T) {
	with := func(names ...string) []*replica {
		p := &replica{Pod: &ledger.Pod{Name: "a"}}
		for _, n := range names {
			p.spec.InitContainers = append(p.spec.InitContainers, corev1.Container{Name: n})
		}
		return []*replica{p}
	}
	judge(t, injected(with(manager)), "")
	judge(t, injected(with()), "pod a: want the container multus-ipmgr first")
	judge(t, injected(with("setup")), "pod a")
}

func TestARestartIsNoChangeOfADeployment(t *testing.T) {
	sampleOf := func(annotations map[string]string) *appsv1.Deployment {
		d := &appsv1.Deployment{}
		d.Spec.Template.Annotations = annotations
		return d
	}
	before := sampleOf(map[string]string{"k8s.v1.cni.cncf.io/networks": "n"})
	after := sampleOf(map[string]string{"k8s.v1.cni.cncf.io/networks": "n", "kubectl.kubernetes.io/restartedAt": "now"})
	judge(t, sameButRestarted(before, after), "")
	after.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "assign"}}
	judge(t, sameButRestarted(before, after), "has changed")
}

func TestTheSampleIsTheDeploymentOfTheStoryAndItsImageIsInTheLab(t *testing.T) {
	text, err := os.ReadFile("../../../" + sample)
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(string(text), "\n---\n")
	var d appsv1.Deployment
	if err := yaml.Unmarshal([]byte(documents[len(documents)-1]), &d); err != nil {
		t.Fatal(err)
	}
	if d.Name != busybox || d.Namespace != namespace || d.Spec.Template.Labels["app"] != busybox {
		t.Errorf("Deployment %s/%s with pods %v", d.Namespace, d.Name, d.Spec.Template.Labels)
	}
	if *d.Spec.Replicas < 3 {
		t.Errorf("%d replicas: two workers and a pair on one of them need 3", *d.Spec.Replicas)
	}
	if image := d.Spec.Template.Spec.Containers[0].Image; "docker.io/library/"+image != testbed.Busybox {
		t.Errorf("image %s, the lab has %s", image, testbed.Busybox)
	}
}
