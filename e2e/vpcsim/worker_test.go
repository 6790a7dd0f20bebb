package vpcsim_test

import (
	"bytes"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/internal/frametest"
)

// worker is the other end of one ENI's cable. It has no network stack: tests
// send what they like and read what arrives.
type worker struct {
	t    *testing.T
	mac  string
	conn net.Conn
}

func plugIn(t *testing.T, dir, eni, mac string) *worker {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "unixpacket", filepath.Join(dir, eni+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w := &worker{t, mac, conn}
	w.answered() // the simulator has accepted
	return w
}

func (w *worker) send(kind uint16, packet []byte) {
	w.t.Helper()
	if _, err := w.conn.Write(frametest.Ethernet(router(), w.mac, kind, packet)); err != nil {
		w.t.Fatal(err)
	}
}

// answered returns once the simulator has dealt with all that the worker sent:
// a question to the router is answered in order. What arrives before the answer
// is returned.
func (w *worker) answered() [][]byte {
	w.t.Helper()
	if _, err := w.conn.Write(frametest.WhoHas(w.mac, "10.10.1.11", "10.10.1.1")); err != nil {
		w.t.Fatal(err)
	}
	want := frametest.Ethernet(w.mac, router(), frametest.ARP,
		frametest.ARPPacket(2, router(), "10.10.1.1", w.mac, "10.10.1.11"))
	var before [][]byte
	for {
		frame := w.receive()
		if bytes.Equal(frame, want) {
			return before
		}
		before = append(before, frame)
	}
}

func (w *worker) receive() []byte {
	w.t.Helper()
	if err := w.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	buffer := make([]byte, 1<<16)
	n, err := w.conn.Read(buffer)
	if err != nil {
		w.t.Fatal(err)
	}
	return buffer[:n]
}
