package nad

import "errors"

// DefaultNetworkAnnotation is Multus's choice of another network for a pod's
// eth0.
const DefaultNetworkAnnotation = "v1.multus-cni.io/default-network"

// multusNamespace is where Multus looks for default networks that are named
// without a namespace, unless its own configuration says otherwise.
const multusNamespace = "kube-system"

// DefaultNetwork parses the value of DefaultNetworkAnnotation, which is not
// empty, by Multus's rules.
func DefaultNetwork(annotation string) (Selection, error) {
	selections, err := Selections(multusNamespace, annotation)
	if err == nil && len(selections) != 1 {
		err = errors.New("names more than one network, or none; want one")
	}
	if err != nil {
		return Selection{}, err
	}
	return selections[0], nil
}
