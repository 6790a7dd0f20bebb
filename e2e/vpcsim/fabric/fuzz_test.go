package fabric_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
	ft "github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/internal/frametest"
)

// FuzzForward holds every verdict to what is true of all: a frame is either
// delivered or dropped for a reason, a packet is delivered unchanged from the
// router to the MAC of its receiver, and an answer goes back.
func FuzzForward(f *testing.F) {
	f.Add(ip4("10.10.1.11", "10.10.1.12"))
	f.Add(ip6("2600:1f13:0:1::80", "2600:1f13:0:1:5::1"))
	f.Add(ft.WhoHas(macA, "10.10.1.11", "10.10.1.12"))
	f.Add(ft.Solicit(macA, "2600:1f13:0:1::80", "2600:1f13:0:1::81"))
	world, src := vpc(), fabric.Router()
	f.Fuzz(func(t *testing.T, frame []byte) {
		before := slices.Clone(frame)
		v := fabric.Forward(world, "eni-a", frame)
		if !bytes.Equal(before, frame) {
			t.Error("the frame that came in was changed")
		}
		if (v.To == "") == (v.Drop.Reason == "") || (v.To == "") != (v.Frame == nil) {
			t.Fatalf("neither delivered nor dropped: %+v", v)
		}
		if v.To == "" {
			return
		}
		mac := world.enis[v.To].MAC
		if !bytes.HasPrefix(v.Frame, slices.Concat(mac[:], src[:], frame[12:14])) {
			t.Errorf("frame %x to %s is not from the router to %s", v.Frame, v.To, mac)
		}
		if v.Answer && v.To != "eni-a" {
			t.Errorf("an answer to eni-a went to %s", v.To)
		}
		if !v.Answer && !bytes.Equal(frame[14:], v.Frame[14:]) {
			t.Errorf("packet %x became %x", frame[14:], v.Frame[14:])
		}
	})
}
