// Package node says what makes a worker a Kubernetes node: the configuration of
// containerd, kubelet, Multus and whereabouts, and in which order they start.
// It is a function of its arguments; package guest's init does the rest.
package node

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/template"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// Node describes a node.
type Node struct {
	Name string
	// Labels are the node's, ProviderID is the instance as Kubernetes names it.
	Labels     map[string]string
	ProviderID string
	// Interfaces are the worker's, of which the first one is the node's own.
	Interfaces []guest.Interface
	Gateway    netip.Addr
	// Pods is the range of the pods' first addresses.
	Pods netip.Prefix
	// DNS is the cluster's name server.
	DNS netip.Addr
	// CA is the cluster's authority, in PEM.
	CA []byte
	// Kubelet, Multus and Whereabouts are their kubeconfigs.
	Kubelet, Multus, Whereabouts []byte
	// Programs are the worker's programs on the host by their names.
	Programs map[string]string
	// Runc is its path on the host.
	Runc string
	// Images is an archive of images on the host, Sandbox the one of them that
	// every pod's sandbox runs.
	Images, Sandbox string
	// Modules is the directory of the kernel's modules on the host.
	Modules string
}

// Init is the name of the first program among the programs.
const Init = "guestinit"

// Programs lists what a worker needs of e2e/tools.
func Programs() []string {
	return append([]string{"containerd", "containerd-shim-runc-v2", "ctr", "kubelet"}, plugins()...)
}

// plugins are the CNI plugins.
func plugins() []string {
	return []string{"multus", "whereabouts", "ipvlan", "host-device", "ptp", "loopback", "host-local", "static"}
}

// The worker's paths.
const (
	images       = "/lab/images.tar"
	containerd   = "/run/containerd/containerd.sock"
	pluginDir    = "/opt/cni/bin"
	networkDir   = "/etc/cni/net.d"
	kubernetes   = "/etc/kubernetes"
	whereabouts  = networkDir + "/whereabouts.d"
	cpuinfo      = "/etc/lab/cpuinfo"
	toContainerd = "/etc/containerd/config.toml"
)

// cpuinfoText has the line that kubelet needs and UML's own lacks.
const cpuinfoText = "processor\t: 0\nvendor_id\t: User Mode Linux\ncpu MHz\t\t: 1000.000\nphysical id\t: 0\ncore id\t\t: 0\n\n"

var (
	//go:embed containerd.toml.tmpl
	containerdTemplate string
	//go:embed kubelet.yaml.tmpl
	kubeletTemplate string
	//go:embed multus.conf.tmpl
	multusTemplate string
)

// Guest returns the worker's configuration.
func (n Node) Guest() (guest.Config, error) {
	c := guest.Config{
		Name: n.Name, Modules: n.Modules, Load: []string{"overlay", "ipv6", "veth", "ipvlan"},
		Empty: []string{"/etc/cni", "/etc/containerd", kubernetes, "/opt/cni"},
		Binds: map[string]string{images: n.Images}, Links: map[string]string{},
		Covers: map[string]string{"/proc/cpuinfo": cpuinfo}, Interfaces: n.Interfaces, Gateway: n.Gateway,
		Sysctls:  map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0"},
		Services: n.services(),
	}
	for name, path := range n.Programs {
		c.Binds[guest.Programs+"/"+name] = path
	}
	for _, name := range plugins() {
		c.Links[pluginDir+"/"+name] = guest.Programs + "/" + name
	}
	var err error
	c.Files, err = n.files()
	return c, err
}

func (n Node) files() (map[string]string, error) {
	id := sha256.Sum256([]byte(n.Name))
	files := map[string]string{
		"/etc/hostname":                         n.Name + "\n",
		"/etc/machine-id":                       hex.EncodeToString(id[:16]) + "\n",
		"/etc/resolv.conf":                      "nameserver " + n.DNS.String() + "\n",
		cpuinfo:                                 cpuinfoText,
		kubernetes + "/ca.crt":                  string(n.CA),
		kubernetes + "/kubelet.kubeconfig":      string(n.Kubelet),
		networkDir + "/multus.kubeconfig":       string(n.Multus),
		whereabouts + "/whereabouts.kubeconfig": string(n.Whereabouts),
		whereabouts + "/whereabouts.conf": `{"datastore":"kubernetes","kubernetes":{"kubeconfig":"` +
			whereabouts + `/whereabouts.kubeconfig"}}` + "\n",
	}
	for path, text := range map[string]string{
		toContainerd:                   containerdTemplate,
		kubernetes + "/kubelet.yaml":   kubeletTemplate,
		networkDir + "/00-multus.conf": multusTemplate,
	} {
		t, err := template.New(path).Parse(text)
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, n); err != nil {
			return nil, err
		}
		files[path] = out.String()
	}
	return files, nil
}

func (n Node) services() []guest.Service {
	program := func(name string) string { return guest.Programs + "/" + name }
	return []guest.Service{
		{Name: "containerd", Args: []string{program("containerd"), "--config", toContainerd}, Socket: containerd},
		{Name: "images", Once: true, Args: []string{
			program("ctr"), "--address", containerd, "--namespace", "k8s.io", "images", "import", "--local", images,
		}},
		{Name: "kubelet", Args: []string{
			program("kubelet"), "--kubeconfig", kubernetes + "/kubelet.kubeconfig", "--config", kubernetes + "/kubelet.yaml",
			"--node-labels", n.labels(), "--provider-id", n.ProviderID,
			"--hostname-override", n.Name, "--node-ip", n.Interfaces[0].Addresses[0].Addr().String(),
		}},
	}
}

// labels writes the labels as kubelet reads them.
func (n Node) labels() string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(n.Labels)) {
		pairs = append(pairs, key+"="+n.Labels[key])
	}
	return strings.Join(pairs, ",")
}
