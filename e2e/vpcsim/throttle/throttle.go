// Package throttle is EC2's request throttling: one token bucket per action,
// with the sizes and refill rates that AWS publishes.
package throttle

import (
	"sync"
	"time"
)

// Limit is one bucket: how many requests it holds when full and how many it
// regains each second.
type Limit struct{ Size, Refill float64 }

// Key names a bucket: the action, and whether a Describe call neither filters
// nor paginates, which AWS throttles harder.
type Key struct {
	Action  string
	Unbound bool
}

// LimitOf returns the published limit of a bucket
// (docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html).
func LimitOf(k Key) Limit {
	switch k.Action {
	case "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses", "AssignIpv6Addresses",
		"CreateNetworkInterface", "DeleteNetworkInterface", "ModifyNetworkInterfaceAttribute",
		"ModifyInstanceMetadataOptions":
		return Limit{100, 5}
	case "UnassignIpv6Addresses", "AttachNetworkInterface", "DetachNetworkInterface":
		return Limit{50, 5} // not in AWS's table, so the class of mutating actions
	case "CreateTags", "DeleteTags":
		return Limit{100, 10}
	case "CreateSubnetCidrReservation", "DeleteSubnetCidrReservation":
		return Limit{5, 1}
	case "DescribeInstances", "DescribeNetworkInterfaces":
		if k.Unbound {
			return Limit{50, 10}
		}
	}
	return Limit{100, 20} // non-mutating actions
}

// Buckets are the buckets of one account in one Region. The zero value is not
// usable; call [New].
type Buckets struct {
	mu    sync.Mutex
	state map[Key]bucket
}

// bucket is refilled lazily: tokens is what it held at the instant at.
type bucket struct {
	tokens float64
	at     time.Time
}

// New returns buckets that are all full.
func New() *Buckets { return &Buckets{state: map[Key]bucket{}} }

// Take takes one token at the instant now, or reports that there is none.
func (b *Buckets) Take(k Key, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := LimitOf(k)
	s, ok := b.state[k]
	if !ok {
		s = bucket{tokens: limit.Size, at: now}
	}
	if elapsed := now.Sub(s.at); elapsed > 0 {
		s.tokens = min(limit.Size, s.tokens+elapsed.Seconds()*limit.Refill)
		s.at = now
	}
	granted := s.tokens >= 1
	if granted {
		s.tokens--
	}
	b.state[k] = s
	return granted
}

// Reset fills all buckets.
func (b *Buckets) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.state)
}
