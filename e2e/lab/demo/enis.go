package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// holders tells which ENI holds each secondary address.
type holders map[netip.Addr]string

// device is the index of the ENIs that the story is about: eth1.
const device = 1

// eniOf names the ENI that is a worker's eth1, as the lab's topology does.
func eniOf(worker string) string { return "eni-w" + strings.TrimPrefix(worker, "worker-") + "-eth1" }

// eniRows lists the ENIs of the workers' eth1 and who holds what. Addresses that
// were held otherwise before are marked by a plus.
func eniRows(enis []vpcsim.ENI, before holders) ([][]string, holders) {
	var rows [][]string
	held := holders{}
	for _, e := range enis {
		if e.DeviceIndex != device {
			continue
		}
		var addrs []string
		for _, a := range e.Secondaries {
			held[a] = e.ID
			mark := ""
			if before[a] != e.ID {
				mark = "+"
			}
			addrs = append(addrs, mark+a.String())
		}
		if len(addrs) == 0 {
			addrs = []string{"none"}
		}
		rows = append(rows, []string{e.ID, e.Primary.String(), strings.Join(addrs, "  ")})
	}
	return rows, held
}

// showENIs prints the ENIs of eth1 and returns who holds what.
func (d *demo) showENIs(before holders) holders {
	rows, held := eniRows(d.bed.Sim().ENIs(), before)
	d.tell.Table([]string{"ENI", "PRIMARY", "SECONDARY ADDRESSES"}, rows)
	return held
}

// changes counts the calls that change addresses, by action, and those that EC2
// refused. The controller only describes.
func changes(calls []vpcsim.Call) map[string]int {
	counts := map[string]int{}
	for _, c := range calls {
		if strings.Contains(c.Action, "ssign") { // Assign, Unassign
			counts[c.Action]++
			if c.Result != "ok" {
				counts[c.Action+": "+c.Result]++
			}
		}
	}
	return counts
}

// onlyAssigned verifies that addresses were assigned, at least so many, and that
// EC2 refused nothing and lost none. It returns how many calls that took.
func onlyAssigned(calls []vpcsim.Call, least int) (int, error) {
	const action = "AssignPrivateIpAddresses"
	got := changes(calls)
	if len(got) != 1 || got[action] < least {
		return 0, fmt.Errorf("EC2 got %v, want at least %d %s and nothing else", got, least, action)
	}
	return got[action], nil
}
