// Package spec is the contract of a worker node group: which ENI each worker
// gets in which network, and how the function that attaches them behaves. The
// function reads it from its environment; a MultusNodeGroup holds the same
// networks.
//
// It decides nothing and asks nobody: whether a subnet exists, or has room, is
// found out by those who can look.
package spec

import (
	"log/slog"
	"time"
)

// Addressing says who chooses the primary address of a worker's ENI.
type Addressing string

// The ways to choose.
const (
	FirstFree Addressing = "first-free" // the first address that nobody holds and nothing reserves
	Automatic Addressing = "automatic"  // EC2 chooses, and avoids every reservation
)

// Demand says what becomes of a worker in whose subnet no range is reserved
// for pods.
type Demand string

// The demands for a subnet CIDR reservation of type explicit.
const (
	Required Demand = "required" // the worker is refused
	Warn     Demand = "warn"     // it is logged
	Off      Demand = "off"      // nobody looks
)

// IPv6 says whether the ENI gets an IPv6 address, which EC2 chooses.
type IPv6 string

// The answers.
const (
	IPv6Auto     IPv6 = "auto"     // if the subnet has an associated range
	IPv6Required IPv6 = "required" // a subnet without one is refused
	IPv6None     IPv6 = "none"
)

// Network is one ENI of every worker.
type Network struct {
	// Name is the value of the ENI's tag, and names the network in logs.
	Name string `json:"name"`
	// DeviceIndex is the ENI's index on its card. Zero means its position in
	// the list, from 1.
	DeviceIndex int `json:"deviceIndex,omitempty"`
	// NetworkCard is the index of the card.
	NetworkCard int `json:"networkCard,omitempty"`
	// HostName is the alternative name of the link on the worker, which NADs
	// call master. Empty means eth and the device index.
	HostName string `json:"hostName,omitempty"`
	// Subnets has one subnet for each zone.
	Subnets []string `json:"subnets"`
	// SecurityGroups are those of the ENI.
	SecurityGroups []string `json:"securityGroups"`
	// Addressing is FirstFree if empty.
	Addressing Addressing `json:"addressing,omitempty"`
	// Workers is where FirstFree chooses from. Without any it is the subnet.
	Workers Workers `json:"workers,omitzero"`
	// Reservation is Required if empty, or Warn where Workers are set: they
	// keep the workers out of the pods' range as well.
	Reservation Demand `json:"reservation,omitempty"`
	// IPv6 is IPv6Auto if empty.
	IPv6 IPv6 `json:"ipv6,omitempty"`
	// SourceDestCheck leaves EC2's check on. Pods that route for others need
	// it off.
	SourceDestCheck bool `json:"sourceDestCheck,omitempty"`
	// Tags are added to those that every ENI gets.
	Tags map[string]string `json:"tags,omitempty"`
}

// OnRefusal says what becomes of a worker that cannot get its ENIs.
type OnRefusal string

// The answers to a refusal.
const (
	OnRefusalAuto    OnRefusal = "auto"    // hold what no new worker would change, abandon the rest
	OnRefusalHold    OnRefusal = "hold"    // keep the worker waiting while somebody fixes the cause
	OnRefusalAbandon OnRefusal = "abandon" // let Auto Scaling end it and launch another one
)

// Settings are those of the function and the command.
type Settings struct {
	// Name and Cluster are the two tags without which nothing is touched.
	Name, Cluster string
	Networks      []Network
	// Hooks are the names of the lifecycle hooks that are ours.
	Hooks     []string
	OnRefusal OnRefusal
	// Budget is when an invocation stops and leaves the rest to the next one.
	// Zero means shortly before the function's own deadline.
	Budget time.Duration
	// SweepAge is the age of the youngest unattached ENI that a sweep may
	// delete.
	SweepAge time.Duration
	LogLevel slog.Level
}

// DefaultSweepAge is longer than any launch hook needs to create an ENI and
// attach it.
const DefaultSweepAge = 15 * time.Minute

// DefaultHook is the name of the hook that the template makes.
func DefaultHook(cluster, name string) string { return "multus-ipmgr/" + cluster + "/" + name }
