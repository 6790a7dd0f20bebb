package nodegroup

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
)

// together runs functions beside each other and joins their errors.
func together(functions ...func() error) error {
	errs := make([]error, len(functions))
	var all sync.WaitGroup
	for i, f := range functions {
		all.Go(func() { errs[i] = f() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// look sees the instance and what concerns it. What does not change while an
// instance comes up, its subnets and its type, is read once.
func (r *run) look(ctx context.Context) (plan.View, error) {
	var instance Instance
	var tagged []plan.ENI
	calls := []func() error{
		func() (err error) { instance, err = r.Cloud.Instance(ctx, r.instance); return err },
		func() (err error) { tagged, err = r.Cloud.Tagged(ctx, r.instance); return err },
	}
	if r.subnets == nil {
		calls = append(calls, func() (err error) { r.subnets, err = r.Cloud.Subnets(ctx, r.subnetIDs()); return err })
	}
	if err := together(calls...); err != nil {
		return plan.View{}, err
	}
	r.tags = instance.Tags
	strangers, err := r.identify(ctx, instance.ENIs, tagged)
	if err != nil {
		return plan.View{}, err
	}
	view := plan.View{Instance: instance.Instance, ENIs: join(instance, append(tagged, strangers...)), Subnets: maps.Clone(r.subnets)}
	if err := r.lookFurther(ctx, &view); err != nil {
		return plan.View{}, err
	}
	view.Limits = r.limits
	return view, nil
}

// subnetIDs lists the subnets of all networks.
func (r *run) subnetIDs() []string {
	var ids []string
	for _, n := range r.Settings.Networks {
		ids = append(ids, n.Subnets...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// identify asks for the attached ENIs that the tags did not show: the two lists
// are of different moments, and an ENI of ours must not count as a stranger's.
func (r *run) identify(ctx context.Context, attached, tagged []plan.ENI) ([]plan.ENI, error) {
	var ids []string
	for _, e := range attached {
		known := slices.ContainsFunc(tagged, func(t plan.ENI) bool { return t.ID == e.ID })
		if !known && !r.strangers[e.ID] {
			ids = append(ids, e.ID)
		}
	}
	if len(ids) == 0 || r.onlyPrimary(attached, ids) {
		return nil, nil
	}
	found, err := r.Cloud.ENIs(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		if e.Network == "" {
			r.strangers[e.ID] = true
		}
	}
	return found, nil
}

// onlyPrimary reports whether the ENIs in question are no others than the
// instance's first one, which is never ours.
func (r *run) onlyPrimary(attached []plan.ENI, ids []string) bool {
	for _, e := range attached {
		if at := e.Attachment; slices.Contains(ids, e.ID) && (at.Card != 0 || at.Device != 0) {
			return false
		}
	}
	return true
}

// join puts together what the two lists say of each ENI. Where they differ one
// of them is older: an ENI is attached if either says so, because nobody
// detaches it, and is protected, unchecked and settled only if both do.
func join(instance Instance, listed []plan.ENI) []plan.ENI {
	joined := slices.Clone(listed)
	for _, attached := range instance.ENIs {
		i := slices.IndexFunc(joined, func(e plan.ENI) bool { return e.ID == attached.ID })
		if i < 0 {
			joined = append(joined, attached)
			continue
		}
		e := &joined[i]
		e.Checked = e.Checked || attached.Checked
		if e.Attachment == nil {
			e.Attachment = attached.Attachment
			continue
		}
		at, other := *e.Attachment, attached.Attachment
		at.Settled = at.Settled && other.Settled
		at.Leaving = at.Leaving || other.Leaving
		at.Protected = at.Protected && other.Protected
		e.Attachment = &at
	}
	return joined
}

// lookFurther sees what matters for new ENIs only: the limits of the type, and
// what is in the subnets that they go to.
func (r *run) lookFurther(ctx context.Context, view *plan.View) error {
	if view.Instance.State.Gone() {
		return nil
	}
	var calls []func() error
	if r.limits.ENIs == 0 {
		calls = append(calls, func() (err error) {
			r.limits, err = r.Cloud.Limits(ctx, view.Instance.Type)
			return err
		})
	}
	var ids []string
	for _, n := range r.Settings.Networks {
		has := func(e plan.ENI) bool { return e.Network == n.Name }
		if slices.ContainsFunc(view.ENIs, has) || slices.ContainsFunc(r.memory.created(), has) {
			continue
		}
		for _, id := range n.Subnets {
			if view.Subnets[id].Zone == view.Instance.Zone && view.Subnets[id].ID != "" {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	found := make([]Contents, len(ids))
	for i, id := range ids {
		calls = append(calls, func() (err error) { found[i], err = r.Cloud.Contents(ctx, id); return err })
	}
	if r.Peers != nil && len(ids) > 0 {
		calls = append(calls, func() error { r.lookAtPeers(ctx, view.Instance.Zone); return nil })
	}
	if err := together(calls...); err != nil {
		return err
	}
	for i, id := range ids {
		view.Subnets[id] = found[i].of(view.Subnets[id])
		r.contents[id] = found[i]
	}
	return nil
}

// of fills what is in a subnet into its description.
func (c Contents) of(s plan.Subnet) plan.Subnet {
	s.Reserved, s.Held, s.ReservedForPods = c.Reserved, c.Held, c.ReservedForPods
	return s
}

// lookAtPeers finds out who launches at the same time. Without the answer the
// worker asks for the first free address: EC2 refuses it if another was faster.
func (r *run) lookAtPeers(ctx context.Context, zone string) {
	launches, err := r.Peers.Launching(ctx, zone)
	if err != nil {
		r.log.Warn("the instances that are being launched are not known, addresses may be asked for twice", keyError, err)
		return
	}
	r.launches = launches
}
