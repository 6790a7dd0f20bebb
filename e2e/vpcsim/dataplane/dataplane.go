// Package dataplane carries frames between the workers' cables as package fabric
// decides, over the state that the EC2 API changes: what AssignPrivateIpAddresses
// assigns is what is routed, later by the setting dataPathLag. It counts what
// goes where and why frames are dropped, and lets callers watch.
package dataplane

import (
	"errors"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/wire"
)

// The reasons beside fabric's for which a frame is lost. The detail is the ENI
// that should have received it.
const (
	// Unplugged ENIs have no worker connected; the detail is the error where
	// the socket itself could not be opened.
	Unplugged fabric.Reason = "unplugged"
	// Overrun workers do not take their frames fast enough.
	Overrun fabric.Reason = "overrun"
)

// Port leads to the worker of one ENI. Send does not wait and takes the frame
// over; its errors are [wire.ErrFull], [wire.ErrUnplugged], or say why the port
// does not work at all.
type Port interface {
	Send(frame []byte) error
	Connected() bool
}

// Plane is the data plane of one VPC. It is safe for concurrent use.
type Plane struct {
	vpc    fabric.VPC
	now    func() time.Time
	counts counts

	mu       sync.RWMutex
	ports    map[string]Port
	watchers map[*watcher]struct{}
	watched  sync.Mutex // held by the frame that passes while somebody watches
}

// New returns a data plane without cables.
func New(vpc fabric.VPC, now func() time.Time) *Plane {
	return &Plane{vpc: vpc, now: now, ports: map[string]Port{}, watchers: map[*watcher]struct{}{}}
}

// Plug makes port the way to an ENI.
func (p *Plane) Plug(eni string, port Port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ports[eni] = port
}

// Unplug removes the way to an ENI.
func (p *Plane) Unplug(eni string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ports, eni)
}

// Receive takes a frame that the worker of an ENI sent. The frame is not kept.
func (p *Plane) Receive(from string, frame []byte) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(p.watchers) > 0 { // no capture shows an answer before its question arrived
		p.watched.Lock()
		defer p.watched.Unlock()
	}
	p.counts.sent(from, len(frame))
	p.show(from, frame)
	v := fabric.Forward(p.vpc, from, frame)
	if v.To == "" {
		p.counts.dropped(from, v.Drop)
		return
	}
	if lost := p.send(v.To, v.Frame); lost.Reason != "" {
		p.counts.dropped(from, lost)
		return
	}
	p.counts.delivered(v.To, len(v.Frame), v.Answer)
	p.show(v.To, v.Frame)
}

// send returns why a frame did not get to its worker, the zero Drop if it did.
func (p *Plane) send(eni string, frame []byte) fabric.Drop {
	port := p.ports[eni]
	if port == nil {
		return fabric.Drop{Reason: Unplugged, Detail: eni}
	}
	switch err := port.Send(frame); {
	case err == nil:
		return fabric.Drop{}
	case errors.Is(err, wire.ErrFull):
		return fabric.Drop{Reason: Overrun, Detail: eni}
	case errors.Is(err, wire.ErrUnplugged):
		return fabric.Drop{Reason: Unplugged, Detail: eni}
	default:
		return fabric.Drop{Reason: Unplugged, Detail: err.Error()}
	}
}
