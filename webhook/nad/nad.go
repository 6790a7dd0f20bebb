// Package nad knows what a pod's Multus networks annotation and a
// NetworkAttachmentDefinition (NAD) mean: which networks are selected, what
// their interfaces are called in the pod, and whether their addresses belong
// to ENIs.
//
// It is pure: it reads no cluster, and does not know how its answers are
// used.
package nad

import (
	"errors"
	"fmt"
	"slices"
)

// Names that users write.
const (
	// NetworksAnnotation is Multus's own selection of networks by a pod.
	NetworksAnnotation = "k8s.v1.cni.cncf.io/networks"
	// ManagedLabel on a NAD, "true" or "false", says whether the addresses of
	// that network belong to ENIs. It overrides what the plugin type says.
	ManagedLabel = "multus-ipmgr.io/managed"
)

// Problems of a Network.
var (
	// ErrNoConfig says that the NAD leaves its configuration to a file on the
	// worker, which nothing in the cluster can read.
	ErrNoConfig = errors.New("spec.config is empty")
	// ErrBadLabel says that the label ManagedLabel has a value without meaning.
	ErrBadLabel = errors.New("the label is neither \"true\" nor \"false\"")
)

// Definition is the part of a NAD that is read.
type Definition struct {
	Namespace string
	Name      string
	Labels    map[string]string
	Config    string // spec.config: CNI configuration as JSON, or empty
	// Annotations of which ResourceAnnotation is read.
	Annotations map[string]string
}

// Network is what a NAD means to the pods that select it, and to the planner of
// addresses.
type Network struct {
	Object string // "namespace/name" of the NAD
	// Managed reports whether its addresses belong to ENIs.
	Managed bool
	// Addressed reports whether its IPAM gives the interface an address before any
	// container starts. Otherwise an address, if any, comes from the application.
	Addressed bool
	// Problem says what had to be guessed. It is nil if nothing had to.
	Problem error
	// Plugins of a managed network. Of others, nothing is read.
	Plugins []PluginConfig
	// Findings in the NAD by itself: what Multus or an IPAM plugin refuses or
	// ignores, and what cannot be read.
	Findings []Finding
}

// Object is the NAD's "namespace/name".
func (d Definition) Object() string { return d.Namespace + "/" + d.Name }

// Unknown is a network of which nothing is known. It counts as managed and
// addressed: ipmgr reports an address that is managed in vain, but nothing
// reports one that is forgotten.
func Unknown(problem error) Network {
	return Network{Managed: true, Addressed: true, Problem: problem}
}

// Read classifies a network. By default ipvlan, macvlan, host-device and sriov
// are managed and others are not; of a plugin list the first plugin decides,
// because it makes the interface. ManagedLabel overrides that.
//
// A configuration that is empty (ErrNoConfig) or that Parse refuses is a
// problem, and the network Unknown but for its label. A label without meaning
// (ErrBadLabel) is a problem, and the plugin decides.
func Read(d Definition) Network {
	file, config, err := parse(d.Config)
	err = bounded(err)
	network := classify(config, err)
	network.Object = d.Object()
	switch value, labelled := d.Labels[ManagedLabel]; {
	case !labelled:
	case value == "true" || value == "false":
		network.Managed = value == "true"
		if !network.Managed || errors.Is(network.Problem, ErrNoConfig) { // nothing is left to guess
			network.Problem = nil
		}
	default:
		network.Problem = errors.Join(network.Problem, fmt.Errorf("label %s=%q: %w", ManagedLabel, value, ErrBadLabel))
	}
	network.Plugins, network.Findings = plan(d, network, file, err)
	return network
}

func classify(config Config, err error) Network {
	if err != nil {
		return Unknown(err)
	}
	addressed := slices.ContainsFunc(config.Plugins, func(p Plugin) bool { return p.IPAM != "" })
	return Network{Managed: managedType(config.Plugins[0].Type), Addressed: addressed}
}

// managedType lists the plugins that put a pod on the worker's own ENI.
func managedType(plugin string) bool {
	switch plugin {
	case "ipvlan", "macvlan", "host-device", "sriov":
		return true
	}
	return false
}
