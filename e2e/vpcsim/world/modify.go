package world

import (
	"maps"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
)

// ModifyENI changes one attribute of an ENI; nil fields stay as they are.
type ModifyENI struct {
	ENI             string
	Description     *string
	SourceDestCheck *bool
	Groups          []string
	// PrimaryIPv6 makes the first IPv6 address primary.
	PrimaryIPv6 *bool
	// Attachment and DeleteOnTermination belong together.
	Attachment          *string
	DeleteOnTermination *bool
}

// ModifyENI changes an attribute of an ENI.
func (w *World) ModifyENI(r ModifyENI) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, err := w.find(r.ENI)
	if err != nil {
		return err
	}
	if err := w.mayManage(e); err != nil {
		return err
	}
	if err := w.checkGroups(r.Groups, e.Subnet, false); err != nil {
		return err
	}
	next := e.clone()
	if r.Description != nil {
		if err := checkDescription(*r.Description); err != nil {
			return err
		}
		next.Description = *r.Description
	}
	if r.SourceDestCheck != nil {
		next.SourceDestCheck = *r.SourceDestCheck
	}
	if len(r.Groups) > 0 {
		next.Groups = r.Groups
	}
	if r.PrimaryIPv6 != nil {
		next.PrimaryIPv6 = *r.PrimaryIPv6
	}
	if r.DeleteOnTermination != nil {
		if next.Attachment == nil || r.Attachment == nil || next.Attachment.ID != *r.Attachment {
			return apierr.New("InvalidAttachmentID.NotFound", "The attachment does not exist on interface %s", e.ID)
		}
		next.Attachment.DeleteOnTermination = *r.DeleteOnTermination
	}
	w.put(next)
	return nil
}

// ModifyMetadata changes the metadata options of an instance and returns what
// they are then.
func (w *World) ModifyMetadata(instance string, change func(*Metadata)) (Metadata, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in, err := w.instance(instance)
	if err != nil {
		return Metadata{}, err
	}
	change(&in.Metadata)
	w.putInstance(in)
	return in.Metadata, nil
}

// Tag sets tags on ENIs, instances, subnets and reservations: on all of them
// or, when one does not exist, on none.
func (w *World) Tag(ids []string, tags map[string]string) error {
	return w.retag(ids, func(old map[string]string) map[string]string {
		next := maps.Clone(old)
		if next == nil {
			next = map[string]string{}
		}
		maps.Copy(next, tags)
		return next
	})
}

// Untag removes tags: those with a given value only if they have that value.
func (w *World) Untag(ids []string, tags map[string]*string) error {
	return w.retag(ids, func(old map[string]string) map[string]string {
		next := maps.Clone(old)
		maps.DeleteFunc(next, func(key, value string) bool {
			want, named := tags[key]
			return named && (want == nil || *want == value)
		})
		return next
	})
}

func (w *World) retag(ids []string, change func(map[string]string) map[string]string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if err := w.taggable(id); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if e, err := w.find(id); err == nil {
			next := e.clone()
			next.Tags = change(e.Tags)
			w.put(next)
		} else if in, err := w.instance(id); err == nil {
			in.Tags = change(in.Tags)
			w.putInstance(in)
		} else if s, ok := w.subnets.value[id]; ok {
			s.Tags = change(s.Tags)
			w.subnets.set(id, s)
		} else if r, ok := w.reservations.value[id]; ok {
			r.Tags = change(r.Tags)
			w.reservations.set(id, r)
		}
	}
	return nil
}

// taggable refuses ids of things that do not exist, with the code of the kind
// that the id's form claims.
func (w *World) taggable(id string) error {
	var err error
	switch kind, _, _ := strings.Cut(id, "-"); kind {
	case "eni":
		_, err = w.find(id)
	case "i":
		_, err = w.instance(id)
	case "subnet":
		_, err = w.subnet(id)
	case "scr":
		if _, ok := w.reservations.value[id]; !ok {
			err = errNoReservation(id)
		}
	default:
		err = apierr.New("InvalidID", "The ID '%s' is not valid", id)
	}
	return err
}

// cutTag splits KEY=VALUE; exact is false for a KEY alone.
func cutTag(condition string) (key, value string, exact bool) {
	return strings.Cut(condition, "=")
}
