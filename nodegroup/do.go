package nodegroup

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// do carries out the steps of a plan. It reports whether all of it was
// done, and something was. ENIs are made beside each other and attached one
// after the other in the order of their indexes; each is protected at once, and
// the rest of it happens beside the next attachment.
func (r *run) do(ctx context.Context, view plan.View, steps []plan.Step) (progress bool, err error) {
	if len(steps) == 0 {
		return false, nil
	}
	if steps, err = r.create(ctx, view, steps); err != nil {
		return false, err
	}
	var rest sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	attachments := attachmentsOf(view)
	for _, n := range inOrderOfDevices(steps) {
		after, err := r.attach(ctx, n, attachments)
		if err != nil {
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
			break
		}
		at := attachments[after[0].ENI]
		rest.Go(func() {
			if err := r.finish(ctx, after, at); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	rest.Wait()
	return len(errs) == 0, errors.Join(errs...)
}

// attachmentsOf returns the attachment of each ENI that is on the instance.
func attachmentsOf(view plan.View) map[string]plan.Attachment {
	ids := map[string]plan.Attachment{}
	for _, e := range view.ENIs {
		if e.Attachment != nil && e.Attachment.Instance == view.Instance.ID {
			ids[e.ID] = *e.Attachment
		}
	}
	return ids
}

// inOrderOfDevices returns the steps of each ENI, by device index.
func inOrderOfDevices(steps []plan.Step) [][]plan.Step {
	var groups [][]plan.Step
	for _, s := range steps {
		i := slices.IndexFunc(groups, func(g []plan.Step) bool { return g[0].ENI == s.ENI })
		if i < 0 {
			groups, i = append(groups, nil), len(groups)
		}
		groups[i] = append(groups[i], s)
	}
	slices.SortStableFunc(groups, func(a, b []plan.Step) int {
		if a[0].Card != b[0].Card {
			return a[0].Card - b[0].Card
		}
		return a[0].Device - b[0].Device
	})
	return groups
}

// create makes the ENIs that are missing, all at once, and fills their ids into
// the steps that follow.
func (r *run) create(ctx context.Context, view plan.View, steps []plan.Step) ([]plan.Step, error) {
	steps = slices.Clone(steps)
	var calls []func() error
	made := map[string]string{}
	var mu sync.Mutex
	for _, s := range steps {
		if s.Do != plan.Create {
			continue
		}
		calls = append(calls, func() error {
			eni, err := r.createOne(ctx, r.network(s.Network), view.Subnets[s.Subnet], s.Device)
			if err != nil {
				return &stepError{s, err}
			}
			mu.Lock()
			defer mu.Unlock()
			made[s.Network] = eni.ID
			return nil
		})
	}
	err := together(calls...)
	for i := range steps {
		if steps[i].ENI == "" {
			steps[i].ENI = made[steps[i].Network]
		}
	}
	return steps, err
}

func (r *run) network(name string) *spec.Network {
	i := slices.IndexFunc(r.Settings.Networks, func(n spec.Network) bool { return n.Name == name })
	return &r.Settings.Networks[i]
}

// attach does the steps of one ENI up to its attachment, and returns those that
// are left.
func (r *run) attach(ctx context.Context, steps []plan.Step, attachments map[string]plan.Attachment) ([]plan.Step, error) {
	for i, s := range steps {
		switch s.Do {
		case plan.Create, plan.Adopt:
		case plan.Attach:
			id, err := r.Cloud.Attach(ctx, s.ENI, r.instance, s.Device, s.Card)
			if err != nil {
				if isGone(err) {
					r.memory.forget(s.ENI)
				}
				return nil, &stepError{s, err}
			}
			at := plan.Attachment{ID: id, Instance: r.instance, Device: s.Device, Card: s.Card}
			attachments[s.ENI] = at
			r.memory.note(s.ENI, func(w *write) { w.attachment = &at })
			r.log.Info("ENI is attached", keyNetwork, s.Network, keyENI, s.ENI)
		default:
			return steps[i:], nil
		}
	}
	return steps[len(steps)-1:], nil
}

// finish does what is left for an ENI.
func (r *run) finish(ctx context.Context, steps []plan.Step, at plan.Attachment) error {
	for _, s := range steps {
		var err error
		switch s.Do {
		case plan.Protect:
			if err = r.Cloud.Protect(ctx, s.ENI, at.ID); err == nil {
				at.Protected = true
				r.memory.note(s.ENI, func(w *write) { protected := at; w.attachment = &protected })
			}
		case plan.Uncheck:
			if err = r.Cloud.Uncheck(ctx, s.ENI); err == nil {
				r.memory.note(s.ENI, func(w *write) { w.unchecked = true })
			}
		case plan.Delete:
			if err = r.Cloud.Delete(ctx, s.ENI); err == nil {
				r.memory.note(s.ENI, func(w *write) { w.deleted = true })
				r.log.Info("surplus ENI is deleted", keyNetwork, s.Network, keyENI, s.ENI)
			}
		}
		if err != nil {
			return &stepError{s, err}
		}
	}
	return nil
}

// networkOf names the network of a step that failed.
func networkOf(err error) string {
	if failed, ok := errors.AsType[*stepError](err); ok {
		return failed.step.Network
	}
	return ""
}
