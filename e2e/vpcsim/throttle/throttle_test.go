package throttle

import (
	"testing"
	"time"
)

func TestBucketsFollowThePublishedFigures(t *testing.T) {
	for _, tc := range []struct {
		name string
		key  Key
		want Limit
	}{
		{"assigning", Key{Action: "AssignPrivateIpAddresses"}, Limit{100, 5}},
		{"assigning IPv6", Key{Action: "AssignIpv6Addresses"}, Limit{100, 5}},
		{"unassigning IPv6, which AWS does not list", Key{Action: "UnassignIpv6Addresses"}, Limit{50, 5}},
		{"listing ENIs with a filter", Key{Action: "DescribeNetworkInterfaces"}, Limit{100, 20}},
		{"listing all ENIs in one page", Key{Action: "DescribeNetworkInterfaces", Unbound: true}, Limit{50, 10}},
		{"listing all subnets, where it makes no difference", Key{Action: "DescribeSubnets", Unbound: true}, Limit{100, 20}},
		{"reading reservations", Key{Action: "GetSubnetCidrReservations"}, Limit{100, 20}},
		{"creating reservations", Key{Action: "CreateSubnetCidrReservation"}, Limit{5, 1}},
		{"tagging", Key{Action: "CreateTags"}, Limit{100, 10}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := LimitOf(tc.key); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestABucketEmptiesAndRefills(t *testing.T) {
	b, k, now := New(), Key{Action: "AssignPrivateIpAddresses"}, time.Unix(0, 0)
	take := func() (granted int) {
		for range 300 {
			if b.Take(k, now) {
				granted++
			}
		}
		return granted
	}
	for _, step := range []struct {
		name string
		wait time.Duration
		want int
	}{
		{"a full bucket grants its size", 0, 100},
		{"an empty one grants nothing", 0, 0},
		{"a part of a token is none", 199 * time.Millisecond, 0},
		{"but it is not lost", time.Millisecond, 1},
		{"a second regains the refill", time.Second, 5},
		{"an hour regains no more than the size", time.Hour, 100},
		{"a clock that goes back regains nothing", -time.Hour, 0},
	} {
		now = now.Add(step.wait)
		if got := take(); got != step.want {
			t.Errorf("%s: got %d, want %d", step.name, got, step.want)
		}
	}
	if !b.Take(Key{Action: "CreateTags"}, now) {
		t.Error("an empty bucket refuses another action")
	}
	b.Reset()
	if got := take(); got != 100 {
		t.Errorf("a reset bucket grants %d, want 100", got)
	}
}
