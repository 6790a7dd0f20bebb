package world

import (
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/topology"
)

// DeleteENI deletes an ENI that is attached to no instance.
func (w *World) DeleteENI(id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.find(id)
	if err != nil {
		return err
	}
	if err := w.mayManage(e); err != nil {
		return err
	}
	if e.Attachment != nil {
		return apierr.Value("Network interface '%s' is currently in use.", id)
	}
	w.erase(e)
	return nil
}

// AttachENI attaches an ENI to an instance and returns the attachment, which
// takes a while.
func (w *World) AttachENI(id, instance string, deviceIndex, networkCard int) (Attachment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.find(id)
	if err != nil {
		return Attachment{}, err
	}
	in, err := w.instance(instance)
	if err != nil {
		return Attachment{}, err
	}
	at := &Attachment{
		ID: w.newID("eni-attach"), Instance: in.ID, Owner: w.Account, DeviceIndex: deviceIndex, NetworkCard: networkCard, At: w.now(),
		Status: AttachmentBegun,
	}
	if err := w.attachable(e, in, at); err != nil {
		return Attachment{}, err
	}
	next := e.clone()
	next.Attachment = at
	for _, v6 := range []bool{false, true} {
		if err := w.fits(next, 0, v6); err != nil {
			return Attachment{}, err
		}
	}
	w.after(next, func(e *ENI) { e.Attachment.Status = AttachmentDone })
	return *at, nil
}

// after stores an ENI whose attachment changes, and what becomes of it when the
// change is done.
func (w *World) after(e *ENI, done func(*ENI)) {
	wait, at := w.settings.Get().AttachTime.Value(), *e.Attachment
	if wait == 0 {
		done(e)
		w.put(e)
		return
	}
	w.put(e)
	w.agenda.After(wait, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		now, err := w.find(e.ID)
		if err != nil || now.Attachment == nil || now.Attachment.ID != at.ID || now.Attachment.Status != at.Status {
			return // something else has happened meanwhile
		}
		next := now.clone()
		done(next)
		w.put(next)
	})
}

func (w *World) attachable(e *ENI, in Instance, at *Attachment) error {
	if e.Attachment != nil {
		return apierr.New("InvalidNetworkInterface.InUse", "Interface: [%s] in use.", e.ID)
	}
	switch in.State {
	case topology.Running, topology.Stopped:
	case topology.Pending:
		return errPending(w.settings.Get().AttachPendingCode, in, e)
	default:
		return apierr.New("IncorrectState", "Instance '%s' is not 'running' or 'stopped'.", in.ID)
	}
	if w.subnets.value[e.Subnet].Zone != in.Zone {
		return apierr.New("InvalidParameterCombination",
			"You may not attach a network interface to an instance if they are not in the same availability zone")
	}
	return w.placeFree(in, at)
}

// placeFree refuses a device index that is taken, and more ENIs than the
// instance type or the network card has places for.
func (w *World) placeFree(in Instance, at *Attachment) error {
	limits, _ := w.Limits(in.Type)
	cards := limits.NetworkCards
	if at.DeviceIndex < 0 || at.NetworkCard < 0 || at.NetworkCard >= max(len(cards), 1) {
		return apierr.Value("Instance '%s' of type %s has no device index %d on network card %d.",
			in.ID, in.Type, at.DeviceIndex, at.NetworkCard)
	}
	attached, onCard := 1, int64(1) // with this one
	for _, h := range w.enis.value {
		o := h.Latest()
		if o == nil || !o.On(in.ID) {
			continue
		}
		attached++
		if o.Attachment.NetworkCard != at.NetworkCard {
			continue
		}
		onCard++
		if o.Attachment.DeviceIndex == at.DeviceIndex {
			return apierr.Value("Instance '%s' already has an interface attached at device index '%d'.", in.ID, at.DeviceIndex)
		}
	}
	if attached > limits.Interface {
		return errTooManyAttached(attached, in.Type)
	}
	i := slices.IndexFunc(cards, func(c topology.NetworkCard) bool { return c.NetworkCardIndex == int64(at.NetworkCard) })
	if i >= 0 && onCard > cards[i].MaximumNetworkInterfaces {
		return errTooManyAttached(int(onCard), in.Type)
	}
	return nil
}

// DetachENI ends an attachment, which takes a while unless it is forced. The ENI
// keeps its addresses.
func (w *World) DetachENI(attachment string, force bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if attachment == "" {
		return apierr.Missing("attachmentId")
	}
	e, err := w.attachment(attachment)
	if err != nil {
		return err
	}
	if e.Requester != "" {
		return apierr.New("OperationNotPermitted", "You are not allowed to manage 'ela-attach' attachments.")
	}
	if e.Attachment.DeviceIndex == 0 {
		return apierr.New("OperationNotPermitted", "The network interface at device index 0 cannot be detached.")
	}
	next := e.clone()
	if force {
		next.Attachment = nil
		w.put(next)
		return nil
	}
	if next.Attachment.Status == AttachmentEnding {
		return nil
	}
	next.Attachment.Status = AttachmentEnding
	w.after(next, func(e *ENI) { e.Attachment = nil })
	return nil
}

func (w *World) attachment(id string) (*ENI, error) {
	for _, h := range w.enis.value {
		if e := h.Latest(); e != nil && e.Attachment != nil && e.Attachment.ID == id {
			return e, nil
		}
	}
	return nil, apierr.New("InvalidAttachmentID.NotFound", "The attachment ID '%s' does not exist", id)
}
