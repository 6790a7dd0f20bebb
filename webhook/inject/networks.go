package inject

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// networks groups the interfaces of a pod by what to do with them.
type networks struct {
	managed  []string // their addresses belong to ENIs
	required []string // those of managed that have an address from the start
	foreign  []string // not managed: to be left alone
	uses     []use    // those of managed, with their networks
	missing  bool     // a network does not exist
	warnings []string // each once
	warned   map[string]bool
}

// classify looks up each selected network. The error is that of ctx, which
// ended first.
func classify(ctx context.Context, selections []nad.Selection, lookup *Lookup, exclude []string) (networks, error) {
	var n networks
	again := Twice(selections)
	for i, s := range selections {
		if err := ctx.Err(); err != nil {
			return networks{}, fmt.Errorf("deciding on the pod's networks: %w", err)
		}
		if message, twice := again[i]; twice {
			n.warn("%s", message)
			continue
		}
		network := n.look(s, lookup)
		switch {
		case slices.Contains(exclude, s.Interface):
			n.warn("interface %s of network %s/%s is excluded by the installation (IPMGR_EXCLUDE_INTERFACES); its addresses are left alone", s.Interface, s.Namespace, s.Name)
		case !network.Managed:
			n.foreign = append(n.foreign, s.Interface)
		default:
			n.managed = append(n.managed, s.Interface)
			n.uses = append(n.uses, use{s, network})
			if network.Addressed || len(s.IPs) > 0 {
				n.required = append(n.required, s.Interface)
			}
		}
	}
	return n, nil
}

// Twice returns, by their index, the selections whose interface an earlier one
// asks for, or every pod has, and what that means.
func Twice(selections []nad.Selection) map[int]string {
	seen, again := make(map[string]bool, len(selections)), map[int]string{}
	for i, s := range selections {
		switch {
		case s.Interface == "eth0" || s.Interface == "lo":
			again[i] = fmt.Sprintf("interface %s is asked for in annotation %s, and every pod has one already; the pod will not start, because two networks cannot share an interface", s.Interface, nad.NetworksAnnotation)
		case seen[s.Interface]:
			again[i] = fmt.Sprintf("interface %s is asked for twice in annotation %s; the pod will not start, because two networks cannot share an interface", s.Interface, nad.NetworksAnnotation)
		}
		seen[s.Interface] = true
	}
	return again
}

// look finds one network and warns about its problems.
func (n *networks) look(s nad.Selection, lookup *Lookup) nad.Network {
	a := lookup.find(s.Namespace, s.Name)
	network := a.network
	switch {
	case a.err != nil:
		n.missing = true
		n.warn("NetworkAttachmentDefinition %s/%s is not known yet and could not be read (%v); its addresses are assumed to belong to ENIs", s.Namespace, s.Name, a.err)
		return nad.Unknown(nil)
	case a.unconfirmed:
		n.missing = true
		n.warn("NetworkAttachmentDefinition %s/%s is not known, and its existence was not confirmed, because %d networks of this pod were already read; its addresses are assumed to belong to ENIs", s.Namespace, s.Name, MaxLiveReads)
		return nad.Unknown(nil)
	case !a.found:
		n.missing = true
		n.warn("NetworkAttachmentDefinition %s/%s does not exist; the pod will not start until it does", s.Namespace, s.Name)
		return nad.Unknown(nil)
	case errors.Is(network.Problem, nad.ErrNoConfig):
		n.warn("NetworkAttachmentDefinition %s/%s has no spec.config; its addresses are assumed to belong to ENIs; label it %s=true or =false to say so", s.Namespace, s.Name, nad.ManagedLabel)
	case network.Problem != nil:
		n.warn("NetworkAttachmentDefinition %s/%s: %v", s.Namespace, s.Name, network.Problem)
	}
	return network
}

func (n *networks) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n.warned == nil {
		n.warned = map[string]bool{}
	}
	if !n.warned[text] {
		n.warned[text] = true
		n.warnings = append(n.warnings, text)
	}
}

// everywhere warns about a fixed address in the pod of a DaemonSet, which runs on
// every worker. A pod does not show how many pods other owners have.
func everywhere(pod Pod, used []use) []string {
	if !slices.ContainsFunc(pod.Metadata.Owners, func(o Owner) bool { return o.Kind == "DaemonSet" }) {
		return nil
	}
	var texts []string
	for _, u := range used {
		if addrs := u.network.Fixed(u.selection); len(addrs) > 0 {
			texts = append(texts, fmt.Sprintf("every pod of the DaemonSet gets %s of network %s/%s, and each takes it from the one before; use IPAM whereabouts", addrs[0], u.selection.Namespace, u.selection.Name))
		}
	}
	return texts[:min(len(texts), mostNames)]
}

// defaultNetworkWarnings warns about a pod whose eth0 is a managed network.
func defaultNetworkWarnings(pod Pod, find FindNAD) []string {
	value := pod.Metadata.Annotations[nad.DefaultNetworkAnnotation]
	if value == "" {
		return nil
	}
	message := DefaultNetworkMessage(value, find)
	if message == "" {
		return nil
	}
	return []string{message}
}

// DefaultNetworkMessage says what is wrong with the value of a pod's
// nad.DefaultNetworkAnnotation, if anything: that network becomes eth0,
// through which AWS is called and whose addresses are left alone.
func DefaultNetworkMessage(value string, find FindNAD) string {
	s, err := nad.DefaultNetwork(value)
	if err != nil {
		return fmt.Sprintf("annotation %s=%s: Multus cannot read it, so the pod will not start: %v", nad.DefaultNetworkAnnotation, quoted(value), err)
	}
	if network, found := find(s.Namespace, s.Name); !found || !network.Managed {
		return ""
	}
	return fmt.Sprintf("annotation %s makes network %s/%s the pod's eth0, whose addresses are not assigned to ENIs, and AWS is called through eth0; select the network in annotation %s only", nad.DefaultNetworkAnnotation, s.Namespace, s.Name, nad.NetworksAnnotation)
}
