// Package ledger says which ENI holds which address, and what EC2 was asked to
// change, as the demos show it.
package ledger

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// Device is the index of the ENIs that the demos are about: eth1.
const Device = 1

// Assign is the call that gives an address to an ENI.
const Assign = "AssignPrivateIpAddresses"

// Holders are the ENIs by the secondary addresses that they hold.
type Holders map[netip.Addr]string

// Header is that of Rows.
func Header() []string { return []string{"ENI", "PRIMARY", "SECONDARY ADDRESSES"} }

// Rows lists the ENIs that are an eth1, of the given instances or else of all,
// and returns who holds what. An address that another ENI held before, or none, is marked by a
// plus.
func Rows(enis []vpcsim.ENI, before Holders, instances ...string) ([][]string, Holders) {
	var rows [][]string
	held := Holders{}
	for _, e := range enis {
		if e.DeviceIndex != Device || len(instances) > 0 && !slices.Contains(instances, e.Instance) {
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

// Changes counts the calls that change addresses, by action, and those that EC2
// refused. Calls that only describe do not count.
func Changes(calls []vpcsim.Call) map[string]int {
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

// OnlyAssigned verifies that addresses were assigned, by at least so many calls,
// and that EC2 refused nothing and took nothing away. It returns how many calls
// there were.
func OnlyAssigned(calls []vpcsim.Call, least int) (int, error) {
	got := Changes(calls)
	if len(got) != 1 || got[Assign] < least {
		return 0, fmt.Errorf("EC2 got %v, want at least %d %s and nothing else", got, least, Assign)
	}
	return got[Assign], nil
}
