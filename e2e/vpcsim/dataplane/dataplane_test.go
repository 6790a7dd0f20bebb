package dataplane_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/dataplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/internal/frametest"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mac1, mac2 = "02:00:00:00:00:01", "02:00:00:00:00:02"
	addr1      = "10.10.1.11"
	addr2      = "10.10.1.12"
)

// pair is a VPC of two ENIs with one address each.
type pair struct{}

func (pair) ENI(id string) (fabric.ENI, bool) {
	last := map[string]byte{"eni-1": 1, "eni-2": 2}[id]
	return fabric.ENI{
		MAC: fabric.MAC{0x02, 5: last}, IPv4: netip.MustParsePrefix("10.10.1.0/24"), Attached: true, SourceCheck: true,
	}, last != 0
}

func (pair) RoutedTo(addr netip.Addr) (string, bool) {
	eni, ok := map[string]string{addr1: "eni-1", addr2: "eni-2"}[addr.String()]
	return eni, ok
}

// port is a worker that remembers frames, or fails.
type port struct {
	err    error
	mu     sync.Mutex
	frames int
}

func (p *port) Send([]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.frames++
	}
	return p.err
}

func (p *port) Connected() bool { return p.err == nil }

func echo(mac, src, dst string) []byte {
	return frametest.Ethernet(fabric.Router().String(), mac, frametest.IPv4, frametest.Echo(src, dst, 1))
}

func TestALostFrameIsCountedWithItsReason(t *testing.T) {
	for _, tc := range []struct {
		name string
		port dataplane.Port
		want fabric.Drop
	}{
		{"no cable", nil, fabric.Drop{Reason: "unplugged", Detail: "eni-2"}},
		{"no worker", &port{err: wire.ErrUnplugged}, fabric.Drop{Reason: "unplugged", Detail: "eni-2"}},
		{"a worker that does not read", &port{err: wire.ErrFull}, fabric.Drop{Reason: "overrun", Detail: "eni-2"}},
		{"a socket that could not be opened", &port{err: errors.New("disk full")}, fabric.Drop{Reason: "unplugged", Detail: "disk full"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plane := dataplane.New(pair{}, time.Now)
			if tc.port != nil {
				plane.Plug("eni-2", tc.port)
			}
			frame := echo(mac1, addr1, addr2)
			plane.Receive("eni-1", frame)
			plane.Receive("eni-1", frame)
			want := dataplane.Status{
				ENIs: map[string]dataplane.ENIStatus{
					"eni-1": {Sent: dataplane.Traffic{Frames: 2, Bytes: uint64(2 * len(frame))}},
				},
				Drops: []dataplane.Dropped{{Reason: tc.want.Reason, Detail: tc.want.Detail, From: "eni-1", Count: 2}},
			}
			got := plane.Status()
			delete(got.ENIs, "eni-2")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			plane.Reset()
			plane.Unplug("eni-2")
			if diff := cmp.Diff(dataplane.Status{ENIs: map[string]dataplane.ENIStatus{}, Drops: []dataplane.Dropped{}}, plane.Status()); diff != "" {
				t.Errorf("status after a reset (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDropsOfAScanDoNotFillTheMemory(t *testing.T) {
	plane := dataplane.New(pair{}, time.Now)
	const details, more = 10_000, 5
	for i := range details + more {
		plane.Receive("eni-1", echo(mac1, addr1, fmt.Sprintf("10.11.%d.%d", i>>8, i&0xff)))
	}
	drops := plane.Status().Drops
	if len(drops) != details+1 {
		t.Fatalf("%d kinds of drops, want %d", len(drops), details+1)
	}
	if diff := cmp.Diff(dataplane.Dropped{Reason: fabric.NoOwner, From: "eni-1", Count: more}, drops[0]); diff != "" {
		t.Errorf("what is not counted separately (-want +got):\n%s", diff)
	}
}

// records splits a pcap of frames below 256 bytes.
func records(t *testing.T, data []byte) (at []time.Duration, frames [][]byte) {
	t.Helper()
	for data = data[24:]; len(data) > 0; {
		seconds, nanos, size := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:]), data[8]
		at = append(at, time.Duration(seconds)*time.Second+time.Duration(nanos))
		frames = append(frames, data[16:][:size])
		data = data[16+int(size):]
	}
	return at, frames
}

func TestACaptureHoldsWhatPassesItsENIsAndWhen(t *testing.T) {
	for _, tc := range []struct {
		name string
		enis []string
		want [][]byte
	}{
		{"all cables", nil, [][]byte{
			echo(mac1, addr1, addr2), received(mac2, addr1, addr2), echo(mac1, addr1, "10.10.1.99"),
		}},
		{"the sender's cable", []string{"eni-1"}, [][]byte{echo(mac1, addr1, addr2), echo(mac1, addr1, "10.10.1.99")}},
		{"the receiver's cable", []string{"eni-2"}, [][]byte{received(mac2, addr1, addr2)}},
		{"another cable", []string{"eni-3"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				plane := dataplane.New(pair{}, time.Now)
				plane.Plug("eni-2", &port{})
				plane.Receive("eni-1", echo(mac1, addr1, addr2)) // before the capture
				ctx, cancel := context.WithCancel(t.Context())
				var out bytes.Buffer
				var done sync.WaitGroup
				done.Go(func() {
					if err := plane.Capture(ctx, &out, tc.enis...); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				start := time.Now()
				plane.Receive("eni-1", echo(mac1, addr1, addr2))
				time.Sleep(time.Second + time.Nanosecond)
				plane.Receive("eni-1", echo(mac1, addr1, "10.10.1.99"))
				cancel()
				done.Wait()
				plane.Receive("eni-1", echo(mac1, addr1, addr2)) // after it
				at, frames := records(t, out.Bytes())
				if diff := cmp.Diff(tc.want, frames); diff != "" {
					t.Errorf("frames (-want +got):\n%s", diff)
				}
				if n := len(at); tc.enis == nil && at[n-1]-time.Duration(start.UnixNano()) != time.Second+time.Nanosecond {
					t.Errorf("the last frame came %s after the start at %d", at[n-1], start.UnixNano())
				}
			})
		})
	}
}

// received is an echo request as its receiver sees it.
func received(mac, src, dst string) []byte {
	return frametest.Ethernet(mac, fabric.Router().String(), frametest.IPv4, frametest.Echo(src, dst, 1))
}

func TestACaptureThatNobodyReadsHoldsUpNoFrame(t *testing.T) {
	plane, receiver := dataplane.New(pair{}, time.Now), &port{}
	plane.Plug("eni-2", receiver)
	r, w := io.Pipe()
	var done sync.WaitGroup
	done.Go(func() {
		if err := plane.Capture(t.Context(), w); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("a capture whose reader left ends with %v, want %v", err, io.ErrClosedPipe)
		}
	})
	if _, err := io.ReadFull(r, make([]byte, 24)); err != nil {
		t.Fatal(err)
	}
	const frames = 10_000
	for range frames {
		plane.Receive("eni-1", echo(mac1, addr1, addr2))
	}
	if receiver.frames != frames {
		t.Errorf("%d of %d frames arrived", receiver.frames, frames)
	}
	if plane.Status().Unwatched == 0 {
		t.Error("a capture that nobody reads claims to be complete")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	done.Wait()
}

// slow is a worker that has a frame before Send returns.
type slow struct{ has func() }

func (s slow) Send([]byte) error {
	s.has()
	time.Sleep(20 * time.Millisecond)
	return nil
}

func (slow) Connected() bool { return true }

func TestWhatAWorkerHasIsCounted(t *testing.T) {
	plane := dataplane.New(pair{}, time.Now)
	has := make(chan struct{})
	plane.Plug("eni-2", slow{func() { close(has) }})
	go plane.Receive("eni-1", echo(mac1, addr1, addr2))
	<-has
	if n := plane.Status().ENIs["eni-2"].Received.Frames; n != 1 {
		t.Errorf("%d frames received, want the one that the worker has", n)
	}
}

func TestWhatAWorkerHasIsCaptured(t *testing.T) {
	plane := dataplane.New(pair{}, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	plane.Plug("eni-2", slow{cancel})
	r, w := io.Pipe()
	var done sync.WaitGroup
	done.Go(func() {
		if err := errors.Join(plane.Capture(ctx, w, "eni-2"), w.Close()); err != nil {
			t.Error(err)
		}
	})
	header := make([]byte, 24)
	if _, err := io.ReadFull(r, header); err != nil {
		t.Fatal(err)
	}
	done.Go(func() { plane.Receive("eni-1", echo(mac1, addr1, addr2)) })
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	done.Wait()
	if _, frames := records(t, slices.Concat(header, rest)); len(frames) != 1 {
		t.Errorf("%d frames captured, want the one that the worker has", len(frames))
	}
}
