package node_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/node"
)

func testNode(name string) node.Node {
	return node.Node{
		Name: name, Interfaces: []guest.Interface{
			{Device: "vec0", Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.12.11/24")}},
			{Device: "vec1", Name: "eth1", Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.1.11/24")}},
		},
		Gateway: netip.MustParseAddr("10.10.12.1"), Pods: netip.MustParsePrefix("10.244.1.0/24"),
		DNS: netip.MustParseAddr("10.96.0.10"), CA: []byte("authority"), Kubelet: []byte("kubelet's"),
		Programs: map[string]string{"multus": "/cache/multus"}, Runc: "/usr/sbin/runc",
		Images: "/dir/images.tar", Sandbox: "docker.io/lab/pause:1", Modules: "/modules",
	}
}

func config(t *testing.T, n node.Node) guest.Config {
	t.Helper()
	c, err := n.Guest()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNodeSaysItsOwnInEveryFile(t *testing.T) {
	c := config(t, testNode("worker-1"))
	for path, want := range map[string]string{
		"/etc/hostname":                      "worker-1",
		"/etc/resolv.conf":                   "nameserver 10.96.0.10",
		"/etc/kubernetes/ca.crt":             "authority",
		"/etc/kubernetes/kubelet.kubeconfig": "kubelet's",
		"/etc/kubernetes/kubelet.yaml":       `clusterDNS: ["10.96.0.10"]`,
		"/etc/containerd/config.toml":        `sandbox = "docker.io/lab/pause:1"`,
		"/etc/cni/net.d/00-multus.conf":      `"subnet": "10.244.1.0/24"`,
	} {
		if !strings.Contains(c.Files[path], want) {
			t.Errorf("%s lacks %q:\n%s", path, want, c.Files[path])
		}
	}
	if !strings.Contains(c.Files["/etc/containerd/config.toml"], `BinaryName = "/usr/sbin/runc"`) {
		t.Error("containerd does not know runc")
	}
	if !json.Valid([]byte(c.Files["/etc/cni/net.d/00-multus.conf"])) {
		t.Error("Multus's configuration is no JSON")
	}
}

func TestNodesHaveDifferentMachineIDs(t *testing.T) {
	const path = "/etc/machine-id"
	one, two := config(t, testNode("worker-1")).Files[path], config(t, testNode("worker-2")).Files[path]
	if one == two || len(one) != 33 {
		t.Errorf("machine-id %q and %q, want two of 32 digits", one, two)
	}
}

func TestServicesStartInTheOrderOfTheirNeeds(t *testing.T) {
	c := config(t, testNode("worker-1"))
	var names []string
	for _, s := range c.Services {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"containerd", "images", "kubelet"}, names); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	kubelet := strings.Join(c.Services[2].Args, " ")
	if !strings.Contains(kubelet, "--hostname-override worker-1 --node-ip 10.10.12.11") {
		t.Errorf("kubelet runs as %s", kubelet)
	}
}

func TestEveryProgramOfAServiceIsNamed(t *testing.T) {
	for _, s := range config(t, testNode("worker-1")).Services {
		if name, ok := strings.CutPrefix(s.Args[0], guest.Programs+"/"); !ok || !slices.Contains(node.Programs(), name) {
			t.Errorf("%s runs %s, which is not among %s", s.Name, s.Args[0], node.Programs())
		}
	}
}

func TestProgramsAndPluginsAreWhereTheyAreLookedFor(t *testing.T) {
	c := config(t, testNode("worker-1"))
	want := map[string]string{"/lab/images.tar": "/dir/images.tar", "/lab/bin/multus": "/cache/multus"}
	if diff := cmp.Diff(want, c.Binds); diff != "" {
		t.Errorf("binds (-want +got):\n%s", diff)
	}
	for _, link := range slices.Sorted(maps.Keys(c.Links)) {
		name, ok := strings.CutPrefix(c.Links[link], guest.Programs+"/")
		if !ok || link != "/opt/cni/bin/"+name || !slices.Contains(node.Programs(), name) {
			t.Errorf("link %s to %s", link, c.Links[link])
		}
	}
}
