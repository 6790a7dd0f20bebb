package ipmgr

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// An application can use more addresses than fit into memory.
func TestRememberedAddressesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		addr := netip.MustParseAddr("fd00::1")
		claim := func(n int) {
			for range n {
				p.spendOfAddress(addr, time.Now())
				addr = addr.Next()
			}
		}
		claim(10 * maxRemembered)
		if got := len(p.addresses); got != maxRemembered {
			t.Errorf("%d addresses are remembered, want %d", got, maxRemembered)
		}
		time.Sleep(addressBurst * addressEvery)
		last := addr
		claim(1)
		if got := len(p.addresses); got != 1 || !p.claimedLately(last) {
			t.Errorf("%d addresses are remembered once the others have rested, want the new one", got)
		}
	})
}
