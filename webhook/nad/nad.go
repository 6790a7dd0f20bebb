// Package nad knows what a pod's Multus networks annotation and a
// NetworkAttachmentDefinition (NAD) mean: which networks are selected, what
// their interfaces are called in the pod, and whether their addresses belong
// to ENIs.
//
// It is pure: it reads no cluster, and nothing of it knows what is done with
// the answers.
package nad

import (
	"errors"
	"fmt"
)

// Names that users write.
const (
	// NetworksAnnotation is Multus's own selection of networks by a pod.
	NetworksAnnotation = "k8s.v1.cni.cncf.io/networks"
	// ManagedLabel on a NAD, "true" or "false", says whether the addresses of
	// that network belong to ENIs. It overrides what the plugin type says.
	ManagedLabel = "multus-ipmgr.io/managed"
)

// Errors that Managed wraps when it has to guess.
var (
	// ErrNoConfig says that the NAD leaves its configuration to a file on the
	// worker, which nothing in the cluster can read.
	ErrNoConfig = errors.New("spec.config is empty")
	// ErrBadLabel says that the label ManagedLabel has a value without meaning.
	ErrBadLabel = errors.New("the label is neither \"true\" nor \"false\"")
)

// Definition is what a decision needs to know of one NAD.
type Definition struct {
	Namespace string
	Name      string
	Labels    map[string]string
	Config    string // spec.config: CNI configuration as JSON, or empty
}

// Use says what one network means to a pod that selects it.
type Use struct {
	// Managed: its addresses belong to ENIs.
	Managed bool
	// Addressed: its IPAM gives the interface an address before any container
	// starts. False means that an address, if any, comes from the application.
	Addressed bool
}

// Use classifies the network. By default ipvlan, macvlan, host-device and
// sriov are managed and others are not; of a plugin list the first plugin
// decides, because it makes the interface. ManagedLabel overrides that.
//
// A network that cannot be read (ErrNoConfig, or JSON that Parse refuses)
// counts as managed and addressed, so that nothing is lost; the error says why
// that was a guess. ErrBadLabel comes with what the plugin type says.
func (d Definition) Use() (Use, error) {
	use, err := classify(d.Config)
	switch value, labelled := d.Labels[ManagedLabel]; {
	case !labelled:
		return use, err
	case value == "true" || value == "false":
		use.Managed = value == "true"
		if !use.Managed || errors.Is(err, ErrNoConfig) { // the label leaves nothing to guess
			return use, nil
		}
		return use, err
	default:
		return use, errors.Join(err, fmt.Errorf("label %s=%q: %w", ManagedLabel, value, ErrBadLabel))
	}
}

func classify(text string) (Use, error) {
	config, err := Parse(text)
	if err != nil {
		return Use{Managed: true, Addressed: true}, err
	}
	main := config.Plugins[0]
	return Use{Managed: managedType(main.Type), Addressed: main.IPAM != ""}, nil
}

// managedType lists the plugins that put a pod on the worker's own ENI.
func managedType(plugin string) bool {
	switch plugin {
	case "ipvlan", "macvlan", "host-device", "sriov":
		return true
	}
	return false
}
