package vpcsim

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/dataplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/wire"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// cables keeps one socket for each ENI that exists.
type cables struct {
	dir   string
	world *world.World
	plane *dataplane.Plane
	stop  chan struct{}
	done  sync.WaitGroup
	ports map[string]*wire.Port // of one goroutine at a time
}

// layCables opens the sockets and follows the ENIs as they come and go. The
// error names the socket that could not be opened; then none is left.
func layCables(dir string, w *world.World, p *dataplane.Plane) (*cables, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &cables{dir: dir, world: w, plane: p, stop: make(chan struct{}), ports: map[string]*wire.Port{}}
	changed := w.Changed()
	if err := c.match(); err != nil {
		return nil, errors.Join(err, c.cut())
	}
	c.done.Go(func() { c.follow(changed) })
	return c, nil
}

func (c *cables) follow(changed <-chan struct{}) {
	for {
		select {
		case <-changed:
			changed = c.world.Changed()
			_ = c.match() // the data plane shows the failure
		case <-c.stop:
			return
		}
	}
}

// match opens sockets for new ENIs and removes those of deleted ones. What
// cannot be opened is tried again at the next change.
func (c *cables) match() error {
	exists, errs := map[string]bool{}, []error(nil)
	for _, e := range c.world.ENIs(lag.Now) {
		exists[e.ID] = true
		if c.ports[e.ID] == nil {
			errs = append(errs, c.lay(e.ID))
		}
	}
	for id, port := range c.ports {
		if !exists[id] {
			c.plane.Unplug(id)
			delete(c.ports, id)
			errs = append(errs, port.Close())
		}
	}
	return errors.Join(errs...)
}

func (c *cables) lay(eni string) error {
	port, err := wire.Listen(filepath.Join(c.dir, eni+".sock"), func(frame []byte) { c.plane.Receive(eni, frame) })
	if err != nil {
		c.plane.Plug(eni, broken{err})
		return err
	}
	c.ports[eni] = port
	c.plane.Plug(eni, port)
	return nil
}

// close removes all sockets.
func (c *cables) close() error {
	close(c.stop)
	c.done.Wait()
	return c.cut()
}

func (c *cables) cut() error {
	var errs []error
	for id, port := range c.ports {
		c.plane.Unplug(id)
		errs = append(errs, port.Close())
	}
	return errors.Join(errs...)
}

// broken is a socket that could not be opened while the simulator ran.
type broken struct{ err error }

// Send implements dataplane.Port.
func (b broken) Send([]byte) error { return b.err }

// Connected implements dataplane.Port.
func (broken) Connected() bool { return false }
