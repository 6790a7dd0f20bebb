package upstream_test

import (
	"strings"
	"testing"

	"gopkg.in/k8snetworkplumbingwg/multus-cni.v4/pkg/k8sclient"
	"gopkg.in/k8snetworkplumbingwg/multus-cni.v4/pkg/logging"
	"gopkg.in/k8snetworkplumbingwg/multus-cni.v4/pkg/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// multusSelects is what Multus makes of a pod's annotation. It panics on null.
func multusSelects(annotation string) (elements []*types.NetworkSelectionElement, ok bool) {
	defer func() {
		if recover() != nil {
			elements, ok = nil, false
		}
	}()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "pod-ns", Annotations: map[string]string{nad.NetworksAnnotation: annotation}}}
	elements, err := k8sclient.GetPodNetwork(pod)
	return elements, err == nil
}

// FuzzSelectionsAgainstMultus looks for annotations that Multus reads and we
// refuse, for the reverse, and for selections that differ. We refuse some that
// Multus reads: those with names that no object or interface can have, and what
// is more than a pod may select.
func FuzzSelectionsAgainstMultus(f *testing.F) {
	logging.SetLogStderr(false)
	for _, seed := range []string{
		"a", "ns/a@eth1, b", "a,,b", "a@b@c", "a/b/c", "[]", "null", "[null]", "0", `"a"`, `{"name":"a"}`, "a.b", " a ",
		`[{"name":"a","interface":"net1","ips":["10.1.1.5/24","10.1.1.6","::ffff:10.1.1.7/120"]}]`,
		`[{"NAME":"a","Namespace":"ns","interfaceRequest":"x"}]`,
		`[{"name":"a","bandwidth":{"ingressRate":"1M"}}]`, `[{"name":"a","bandwidth":{"ingressRate":1.5}}]`, `[{"name":"a","bandwidth":null}]`,
		`[{"name":"a","portMappings":[{"hostPort":"8080"}]}]`, `[{"name":"a","portMappings":[null,{"hostPort":8080,"hostIP":"x"}]}]`,
		`[{"name":"a","cni-args":{"ips":["10.1.1.5/24"]}}]`, `[{"name":"a","cni-args":[]}]`, `[{"name":"a","cni-args":null}]`,
		`[{"name":"a","default-route":["10.1.1.1"]}]`, `[{"name":"a","default-route":["10.1.1.1/24"]}]`, `[{"name":"a","default-route":"x"}]`,
		`[{"name":"a","mac":"02:00:00:00:00:01","infiniband-guid":"c2:11:22:33:44:55:66:77","deviceID":"x"}]`, `[{"name":"a","mac":"x"}]`, `[{"name":"a","deviceID":1}]`,
		`[{"name":"a","ips":["10.1.1.5/024"]}]`, `[{"name":"a","ips":["10.1.1.005"]}]`, `[{"name":"a","ips":["fe80::1%eth0"]}]`, `[{"name":"a","ips":[""]}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, annotation string) {
		if annotation == "" {
			return
		}
		theirs, reads := multusSelects(annotation)
		ours, err := nad.Selections("pod-ns", annotation)
		switch {
		case err == nil && !reads:
			t.Fatalf("%q is accepted, and Multus refuses it", annotation)
		case err != nil && reads && !beyondMultus(err):
			t.Fatalf("%q is refused, and Multus reads it: %v", annotation, err)
		case err != nil:
			return
		}
		if len(ours) != len(theirs) {
			t.Fatalf("%q: %d selections, Multus has %d", annotation, len(ours), len(theirs))
		}
		for i, s := range ours {
			if s.Name != theirs[i].Name || s.Namespace != theirs[i].Namespace || theirs[i].InterfaceRequest != "" && s.Interface != theirs[i].InterfaceRequest || len(s.IPs) != len(theirs[i].IPRequest) {
				t.Errorf("%q: element %d is %+v, Multus has %+v", annotation, i, s, theirs[i])
			}
		}
	})
}

// beyondMultus reports whether we refuse what can never start although Multus
// reads it.
func beyondMultus(err error) bool {
	for _, part := range []string{
		"has no name", "is not a Kubernetes name", "is not an interface name", "has a dot, which", "more than", "too large",
	} {
		if strings.Contains(err.Error(), part) {
			return true
		}
	}
	return false
}
