package mgmt

import (
	"context"
	"errors"
	"net"
	"slices"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/wire"
)

// hub carries frames between workers and stack as a switch does that knows who
// is where.
type hub struct {
	link  *channel.Endpoint
	ports []port
}

// port leads to one worker.
type port struct {
	mac  net.HardwareAddr
	wire *wire.Port
}

const (
	headerBytes  = 14 // of an Ethernet frame
	addressBytes = 6
)

func newHub(workers []Worker, link *channel.Endpoint) (*hub, error) {
	h := &hub{link: link, ports: make([]port, len(workers))}
	for i, w := range workers {
		h.ports[i].mac = w.MAC
	}
	for i, w := range workers {
		var err error
		h.ports[i].wire, err = wire.Listen(w.Socket, func(frame []byte) { h.fromWorker(i, slices.Clone(frame)) })
		if err != nil {
			return nil, errors.Join(err, h.close())
		}
	}
	return h, nil
}

// fromWorker takes a frame over.
func (h *hub) fromWorker(from int, frame []byte) {
	if len(frame) < headerBytes {
		return
	}
	h.toWorkers(from, frame)
	if to := frame[:addressBytes]; isGroup(to) || slices.Equal(to, gatewayMAC) {
		packet := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
		h.link.InjectInbound(0, packet)
		packet.DecRef()
	}
}

// toWorkers delivers a frame, except to whom it comes from. A frame that a
// worker cannot take is lost, as on any network.
func (h *hub) toWorkers(from int, frame []byte) {
	to := frame[:addressBytes]
	for i, p := range h.ports {
		if i != from && p.wire != nil && (isGroup(to) || slices.Equal(to, p.mac)) {
			_ = p.wire.Send(frame)
		}
	}
}

func isGroup(mac []byte) bool { return mac[0]&1 == 1 }

// carry takes frames from the stack until ctx ends.
func (h *hub) carry(ctx context.Context) {
	for {
		packet := h.link.ReadContext(ctx)
		if packet == nil {
			return
		}
		view := packet.ToView()
		frame := slices.Clone(view.AsSlice())
		view.Release()
		packet.DecRef()
		if len(frame) >= headerBytes {
			h.toWorkers(-1, frame)
		}
	}
}

func (h *hub) close() error {
	var errs []error
	for _, p := range h.ports {
		if p.wire != nil {
			errs = append(errs, p.wire.Close())
		}
	}
	return errors.Join(errs...)
}
