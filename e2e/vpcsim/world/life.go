package world

import (
	"maps"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// MaxInstances is how many instances can exist at once, those that ended and
// are still described included.
const MaxInstances = 10_000

// Launch asks for a new instance with one ENI.
type Launch struct {
	Type, Subnet, Role string
	HopLimit           int
	Groups             []string // security groups of the ENI
	Tags               map[string]string
}

// Launch starts a new instance, which is pending for a while.
func (w *World) Launch(l Launch) (Instance, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.instances.value) >= MaxInstances {
		return Instance{}, apierr.New("InstanceLimitExceeded", "You have requested more instances than your current instance limit of %d allows.", MaxInstances)
	}
	r := CreateENI{Subnet: l.Subnet, Groups: l.Groups}
	if err := w.checkNamed(r); err != nil {
		return Instance{}, err
	}
	if err := w.checkQuota(); err != nil {
		return Instance{}, err
	}
	main, err := w.draft(r)
	if err != nil {
		return Instance{}, err
	}
	in := Instance{
		ID: w.newID("i"), Type: l.Type, Zone: w.subnets.value[l.Subnet].Zone, Role: l.Role, State: topology.Pending,
		Launched: w.now(), Tags: maps.Clone(l.Tags), Metadata: Metadata{HopLimit: l.HopLimit},
	}
	main.Attachment = &Attachment{
		ID: w.newID("eni-attach"), Instance: in.ID, Owner: w.Account, At: w.now(), DeleteOnTermination: true, Status: AttachmentDone,
	}
	w.putInstance(in)
	w.put(main)
	w.later(w.settings.Get().PendingTime.Value(), in.ID, topology.Pending, topology.Running)
	return in, nil
}

// StartInstance starts a stopped instance. Its ENIs are those of before.
func (w *World) StartInstance(id string) error {
	return w.command(id, func(in Instance) error {
		if in.State != topology.Stopped {
			return errWrongState(in, "started")
		}
		in.State, in.Launched = topology.Pending, w.now()
		w.putInstance(in)
		w.later(w.settings.Get().PendingTime.Value(), id, topology.Pending, topology.Running)
		return nil
	})
}

// StopInstance stops a running instance.
func (w *World) StopInstance(id string) error {
	return w.command(id, func(in Instance) error {
		if in.State != topology.Running {
			return errWrongState(in, "stopped")
		}
		w.become(in, topology.Stopping)
		w.later(w.settings.Get().StoppingTime.Value(), id, topology.Stopping, topology.Stopped)
		return nil
	})
}

// RebootInstance restarts the system of a running instance, of which EC2 shows
// nothing.
func (w *World) RebootInstance(id string) error {
	return w.command(id, func(in Instance) error {
		if in.State != topology.Running {
			return errWrongState(in, "rebooted")
		}
		return nil
	})
}

// TerminateInstance ends an instance, whatever it does. That it has ended
// already is success.
func (w *World) TerminateInstance(id string) error {
	return w.command(id, func(in Instance) error {
		if in.State == topology.ShuttingDown || in.State == topology.Terminated {
			return nil
		}
		w.become(in, topology.ShuttingDown)
		w.later(w.settings.Get().StoppingTime.Value(), id, topology.ShuttingDown, topology.Terminated)
		return nil
	})
}

// Follow has each new state of an instance told, soon after it was reached.
func (w *World) Follow(tell func(Instance)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.followers = append(w.followers, tell)
}

func (w *World) command(id string, do func(Instance) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	in, err := w.instance(id)
	if err != nil {
		return err
	}
	return do(in)
}

// putInstance stores a new version of an instance.
func (w *World) putInstance(in Instance) {
	w.instances.set(in.ID, w.instances.value[in.ID].Add(in, w.moment()))
}

func (w *World) become(in Instance, state string) {
	in.State = state
	w.putInstance(in)
	for _, tell := range w.followers {
		w.agenda.After(0, func() { tell(in) })
	}
}

// later moves an instance on after a time, if it is still in the first state.
func (w *World) later(d time.Duration, id, from, to string) {
	w.agenda.After(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		in, err := w.instance(id)
		if err != nil || in.State != from {
			return
		}
		if to == topology.Terminated {
			w.releaseENIs(id)
			w.agenda.After(w.settings.Get().TerminatedTime.Value(), func() { w.forgetInstance(id) })
		}
		w.become(in, to)
	})
}

// releaseENIs ends the attachments of an instance that has terminated: EC2
// deletes the ENIs that end with it, and the others are left over.
func (w *World) releaseENIs(instance string) {
	for _, h := range w.enis.list() {
		e := h.Latest()
		switch {
		case e == nil || !e.On(instance):
		case e.Attachment.DeleteOnTermination:
			w.erase(e)
		default:
			next := e.clone()
			next.Attachment = nil
			w.put(next)
		}
	}
}

// forgetInstance is when EC2 no longer describes a terminated instance.
func (w *World) forgetInstance(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.moment()
	w.instances.set(id, w.instances.value[id].Add(Instance{}, m))
	w.bury(m, func() { w.instances.remove(id) })
}

// Instances lists all instances as a view shows them.
func (w *World) Instances(v lag.View) []Instance {
	w.mu.RLock()
	defer w.mu.RUnlock()
	now, bounds := w.now(), w.bounds()
	out := make([]Instance, 0, len(w.instances.value))
	for _, h := range w.instances.list() {
		if in := h.At(v, now, bounds); in.ID != "" {
			out = append(out, in)
		}
	}
	return out
}
