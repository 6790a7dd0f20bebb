package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/cloud"
)

// holders tells which ENI holds each secondary address.
func holders(enis []cloud.ENI) map[netip.Addr]string {
	held := map[netip.Addr]string{}
	for _, e := range enis {
		for _, a := range slices.Concat(e.Secondaries, e.IPv6) {
			held[a] = e.ID
		}
	}
	return held
}

// eniRows lists the ENIs that Multus uses; addresses that were not held before
// are marked by a plus.
func eniRows(enis []cloud.ENI, before map[netip.Addr]string) [][]string {
	var rows [][]string
	for _, e := range enis {
		if e.DeviceIndex == 0 {
			continue
		}
		var addrs []string
		for _, a := range slices.Concat(e.Secondaries, e.IPv6) {
			mark := ""
			if before[a] != e.ID {
				mark = "+"
			}
			addrs = append(addrs, mark+a.String())
		}
		if len(addrs) == 0 {
			addrs = []string{"none"}
		}
		rows = append(rows, []string{e.ID, strings.TrimPrefix(e.Instance, "i-"), e.Primary.String(), strings.Join(addrs, "  ")})
	}
	return rows
}

// showENIs prints the ENIs and returns who holds what.
func (d *demo) showENIs(ctx context.Context, before map[netip.Addr]string) (map[netip.Addr]string, error) {
	enis, err := d.cloud.ENIs(ctx)
	if err != nil {
		return nil, err
	}
	d.tell.Table([]string{"ENI", "WORKER", "PRIMARY", "SECONDARY ADDRESSES"}, eniRows(enis, before))
	return holders(enis), nil
}

// tally counts calls by action.
func tally(calls []cloud.Call) map[string]int {
	counts := map[string]int{}
	for _, c := range calls {
		counts[c.Action]++
	}
	return counts
}

// onlyThese verifies that exactly these calls were made, all with success.
func onlyThese(calls []cloud.Call, want map[string]int) error {
	if got := tally(calls); !maps.Equal(got, want) {
		return fmt.Errorf("EC2 calls: %s; want %s", inWords(got), inWords(want))
	}
	for _, c := range calls {
		if c.Result != "ok" {
			return fmt.Errorf("EC2 answered %s with %s", c.Action, c.Result)
		}
	}
	return nil
}
