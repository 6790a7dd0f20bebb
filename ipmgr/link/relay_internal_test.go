package link

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// The kernel drops events when nobody reads them for long; the subscription
// ends then, and the loop makes another.
func TestASubscriptionThatEndsGivesItsSocketBack(t *testing.T) {
	updates := make(chan netlink.AddrUpdate)
	ended := make(chan struct{})
	wake := New(nil).relay(updates, func() { close(ended) })
	updates <- netlink.AddrUpdate{}
	if _, open := <-wake; !open {
		t.Fatal("no wake-up")
	}
	close(updates)
	if _, open := <-wake; open {
		t.Error("a wake-up without a change")
	}
	select {
	case <-ended:
	default:
		t.Error("the subscription keeps its socket")
	}
}
