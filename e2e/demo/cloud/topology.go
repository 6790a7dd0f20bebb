package cloud

import (
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/yaml"
)

// Topology is what the demo must know of vpcsim's topology file.
type Topology struct {
	// Instances are the workers.
	Instances []Instance `json:"instances"`

	text []byte
}

// Instance is one worker.
type Instance struct {
	// ID is the EC2 instance's.
	ID string `json:"id"`
	// Type is the EC2 instance type.
	Type string `json:"type"`
	// ENIs are its network interfaces, in the order of their device index.
	ENIs []struct {
		ID      string     `json:"id"`
		MAC     string     `json:"mac"`
		Primary netip.Addr `json:"primary"`
	} `json:"enis"`
}

// ParseTopology reads a topology file, whose workers have eth0 and eth1.
func ParseTopology(text []byte) (Topology, error) {
	t := Topology{text: text}
	if err := yaml.Unmarshal(text, &t); err != nil {
		return Topology{}, fmt.Errorf("topology: %w", err)
	}
	for _, i := range t.Instances {
		if len(i.ENIs) != 2 {
			return Topology{}, fmt.Errorf("topology: instance %s has %d ENIs, want eth0 and eth1", i.ID, len(i.ENIs))
		}
	}
	return t, nil
}

// Name is the worker's name as a node of the cluster.
func (i Instance) Name() string { return strings.TrimPrefix(i.ID, "i-") }

// Eth0 is the worker's own address.
func (i Instance) Eth0() netip.Addr { return i.ENIs[0].Primary }

// Multus is the worker's ENI in the Multus subnet.
func (i Instance) Multus() (id, mac string) { return i.ENIs[1].ID, i.ENIs[1].MAC }
