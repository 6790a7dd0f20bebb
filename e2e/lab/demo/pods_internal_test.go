package main

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// three are two pods on worker-1 and one on worker-2, who hear whom they say.
func three(first, second, third []netip.Addr) []*replica {
	pod := func(name, worker, addr string, heard []netip.Addr) *replica {
		return &replica{Pod: testbed.Pod{Name: name, Worker: worker}, addr: netip.MustParseAddr(addr), heard: heard}
	}
	return []*replica{
		pod("a", "worker-1", "10.10.1.64", first), pod("b", "worker-1", "10.10.1.65", second), pod("c", "worker-2", "10.10.1.66", third),
	}
}

func TestThePictureOfTheArticleIsToldFromOthers(t *testing.T) {
	for name, c := range map[string]struct {
		pods []*replica
		want string
	}{
		"each hears those on its worker": {three(addrs("10.10.1.65"), addrs("10.10.1.64"), nil), ""},
		"one hears nobody":               {three(nil, addrs("10.10.1.64"), nil), "a on worker-1 hears nobody; 10.10.1.65 is on worker-1"},
		"one hears another worker":       {three(addrs("10.10.1.65"), addrs("10.10.1.64"), addrs("10.10.1.64")), "c on worker-2 hears 10.10.1.64"},
		"all are on one worker":          {three(addrs("10.10.1.65"), addrs("10.10.1.64"), nil)[:2], "of 2 pods, none share a worker, or all do"},
	} {
		t.Run(name, func(t *testing.T) { judge(t, onlyOnOneWorker(c.pods), c.want) })
	}
}

func TestThePictureOfTheCureIsToldFromOthers(t *testing.T) {
	all := three(addrs("10.10.1.65", "10.10.1.66"), addrs("10.10.1.64", "10.10.1.66"), addrs("10.10.1.64", "10.10.1.65"))
	held := func(third string) holders {
		return holders{all[0].addr: "eni-w1-eth1", all[1].addr: "eni-w1-eth1", all[2].addr: third}
	}
	deaf := three(addrs("10.10.1.65"), all[1].heard, all[2].heard)
	for name, c := range map[string]struct {
		pods []*replica
		held holders
		want string
	}{
		"all hear all":                    {all, held("eni-w2-eth1"), ""},
		"one misses another":              {deaf, held("eni-w2-eth1"), "pod a on worker-1 hears 10.10.1.65, want 2 others"},
		"an ENI of another worker has it": {all, held("eni-w1-eth1"), `10.10.1.66 of pod c on worker-2 is held by "eni-w1-eth1"`},
	} {
		t.Run(name, func(t *testing.T) { judge(t, everywhere(c.pods, c.held), c.want) })
	}
}

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
		p := &replica{Pod: testbed.Pod{Name: "a"}}
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
