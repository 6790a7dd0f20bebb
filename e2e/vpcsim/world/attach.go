package world

import (
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

// AttachENI attaches an ENI to an instance and returns the attachment.
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
	if err := w.attachable(e, in, deviceIndex, networkCard); err != nil {
		return Attachment{}, err
	}
	next := e.clone()
	next.Attachment = &Attachment{
		ID: w.newID("eni-attach"), Instance: in.ID, Owner: w.Account, DeviceIndex: deviceIndex, NetworkCard: networkCard, At: w.now(),
		Status: AttachmentDone,
	}
	for _, v6 := range []bool{false, true} {
		if err := w.fits(next, 0, v6); err != nil {
			return Attachment{}, err
		}
	}
	w.put(next)
	return *next.Attachment, nil
}

func (w *World) attachable(e *ENI, in Instance, deviceIndex, networkCard int) error {
	if e.Attachment != nil {
		return apierr.New("InvalidNetworkInterface.InUse", "Interface: [%s] in use.", e.ID)
	}
	if in.State != topology.Running && in.State != "stopped" {
		return apierr.New("IncorrectState", "Instance '%s' is not 'running' or 'stopped'.", in.ID)
	}
	if w.subnets.value[e.Subnet].Zone != in.Zone {
		return apierr.New("InvalidParameterCombination",
			"You may not attach a network interface to an instance if they are not in the same availability zone")
	}
	limits, _ := w.Limits(in.Type)
	if deviceIndex < 0 || networkCard < 0 || networkCard >= max(len(limits.NetworkCards), 1) {
		return apierr.Value("Instance '%s' of type %s has no device index %d on network card %d.",
			in.ID, in.Type, deviceIndex, networkCard)
	}
	attached := 0
	for _, h := range w.enis.value {
		o := h.Latest()
		if o == nil || !o.On(in.ID) {
			continue
		}
		if o.Attachment.DeviceIndex == deviceIndex && o.Attachment.NetworkCard == networkCard {
			return apierr.Value("Instance '%s' already has an interface attached at device index '%d'.", in.ID, deviceIndex)
		}
		attached++
	}
	if attached >= limits.Interface {
		return apierr.New("AttachmentLimitExceeded", "Interface count %d exceeds the limit for %s", attached+1, in.Type)
	}
	return nil
}

// DetachENI ends an attachment. The ENI keeps its addresses.
func (w *World) DetachENI(attachment string) error {
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
	next.Attachment = nil
	w.put(next)
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
