package nad_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// What loading and deleting n NADs costs is counted as the bytes that are
// allocated: ten times as many NADs may cost ten times as much, and a logarithm.
func TestLoadingAndDeletingNADsCostsNLogN(t *testing.T) {
	for _, c := range []struct {
		name    string
		network func(i int) nad.Network
	}{
		{"copies in as many namespaces", func(i int) nad.Network { return handsOut(fmt.Sprintf("ns%d/net", i), "whereabouts", 64, 90) }},
		{"copies in one namespace", func(i int) nad.Network { return handsOut(fmt.Sprintf("ns/net%d", i), "whereabouts", 64, 90) }},
		{"the same range with network names that differ", func(i int) nad.Network {
			n := handsOut(fmt.Sprintf("ns%d/net", i), "whereabouts", 64, 90)
			n.Plugins[0].IPAM.NetworkName = fmt.Sprint(i)
			return n
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cost := func(n int) (load, update, unload uint64) {
				networks := make([]nad.Network, n)
				for i := range networks {
					networks[i] = c.network(i)
				}
				index := nad.NewIndex()
				each := func(call func(nad.Network)) uint64 {
					return allocated(func() {
						for _, network := range networks {
							call(network)
						}
					})
				}
				return each(index.Put), each(index.Put), each(func(network nad.Network) { index.Delete(network.Object) })
			}
			const few, many, times = 1000, 10_000, 16
			load, update, unload := cost(few)
			loadMany, updateMany, unloadMany := cost(many)
			if loadMany > times*load || updateMany > times*update || unloadMany > times*max(unload, few) {
				t.Errorf("bytes allocated to load, update and delete: %d, %d and %d for %d NADs, %d, %d and %d for %d", load, update, unload, few, loadMany, updateMany, unloadMany, many)
			}
		})
	}
}

func allocated(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
