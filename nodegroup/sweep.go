package nodegroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
)

// sweepers is how many instances a sweep serves at a time.
const sweepers = 4

// Swept is what a sweep did.
type Swept struct {
	// Served are the instances for which a hook of ours waited, and Refused
	// those of them that cannot get their ENIs.
	Served, Refused int
	// Deleted are the ENIs that nobody would have attached.
	Deleted int
}

// Sweep serves the instances whose events were lost or whose invocations failed,
// and deletes the ENIs that nobody will attach. It never detaches one.
func (f *Function) Sweep(ctx context.Context) (Swept, error) {
	var swept Swept
	end := f.end(ctx)
	working, cancel := until(ctx, end)
	defer cancel()
	list, err := f.heldInstances(working)
	if err != nil {
		return swept, err
	}
	err = together(
		func() (err error) { swept.Served, swept.Refused, err = f.serveAll(ctx, end, list); return err },
		func() (err error) { swept.Deleted, err = f.collect(working); return err })
	if swept != (Swept{}) {
		f.Log.Info("sweep", "served", swept.Served, "refused", swept.Refused, "deleted", swept.Deleted)
	}
	return swept, err
}

// held is an instance that a hook holds.
type held struct {
	Member

	group string
	// hook is the one of ours that holds it.
	hook string
}

// heldInstances lists the instances that some hook holds, be it ours or not, in
// an order that differs from sweep to sweep: so those that take all the time of
// one do not keep the others from being served for ever.
func (f *Function) heldInstances(ctx context.Context) ([]held, error) {
	groups, err := f.Scaling.Groups(ctx)
	if err != nil {
		return nil, err
	}
	var list []held
	for _, g := range groups {
		members := g.Members
		if g.HasWarmPool {
			warm, err := f.Scaling.WarmPool(ctx, g.Name)
			if err != nil {
				return nil, err
			}
			members = append(members, warm...)
		}
		for _, m := range members {
			if m.State.launching() || m.State.leaving() {
				list = append(list, held{Member: m, group: g.Name})
			}
		}
	}
	for i := range list {
		j := i + int(f.Random()*float64(len(list)-i))
		list[i], list[j] = list[j], list[i]
	}
	return list, nil
}

// atATime does something for several of a list at a time, and joins the errors.
func atATime[T any](list []T, do func(*T) error) error {
	var some errgroup.Group
	some.SetLimit(sweepers)
	errs := make([]error, len(list))
	for i := range list {
		some.Go(func() error { errs[i] = do(&list[i]); return nil })
	}
	_ = some.Wait()
	return errors.Join(errs...)
}

// serveAll serves those of the instances that a hook of ours holds. All of them
// are kept from timing out before the first is served. Nothing waits for an
// answer under a token here: the hook and the instance name it.
func (f *Function) serveAll(ctx context.Context, end time.Time, list []held) (served, refused int, err error) {
	ours, err := f.ours(ctx, list)
	var mu sync.Mutex
	serving := atATime(ours, func(h *held) error {
		outcome, err := f.serveHeld(ctx, end, *h)
		if len(outcome.Refusals) > 0 {
			mu.Lock()
			defer mu.Unlock()
			refused++
		}
		return err
	})
	return len(ours), refused, errors.Join(err, serving)
}

// ours returns those that a hook of ours holds.
func (f *Function) ours(ctx context.Context, list []held) ([]held, error) {
	err := atATime(list, func(h *held) (err error) {
		h.hook, err = f.hookOf(ctx, *h)
		return err
	})
	return slices.DeleteFunc(list, func(h held) bool { return h.hook == "" }), err
}

// hookOf finds the hook of ours that holds an instance, if one does: Auto Scaling
// tells by taking its heartbeat.
func (f *Function) hookOf(ctx context.Context, h held) (string, error) {
	for _, h.hook = range f.Settings.Hooks {
		switch err := f.Scaling.Heartbeat(ctx, h.action()); {
		case err == nil:
			return h.hook, nil
		case !errors.Is(err, ErrNotWaiting):
			return "", fmt.Errorf("heartbeat for instance %s: %w", h.ID, err)
		}
	}
	return "", nil
}

func (h held) action() Action { return Action{Group: h.group, Hook: h.hook, Instance: h.ID} }

// serveHeld does for an instance what its event would have asked for.
func (f *Function) serveHeld(ctx context.Context, end time.Time, h held) (Outcome, error) {
	return f.concluded(ctx, h.action(), func(ctx context.Context) (Outcome, error) {
		if h.State.leaving() {
			return f.answer(ctx, h.action(), Outcome{Result: Continue})
		}
		return f.attach(ctx, end, h.action(), time.Now().Add(heartbeatEvery))
	})
}

// collect deletes the ENIs that nobody will attach.
func (f *Function) collect(ctx context.Context) (deleted int, err error) {
	garbage, err := f.garbage(ctx)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, e := range garbage {
		err := f.Cloud.Delete(ctx, e.ID)
		switch {
		case err == nil:
			deleted++
			f.Log.Warn("ENI that nobody attaches is deleted", keyInstance, e.Instance, keyNetwork, e.Network, keyENI, e.ID, keyAddress, e.Primary)
		case fault.MeaningOf(err) == fault.Refused:
			f.Log.Info("ENI is in use after all", keyInstance, e.Instance, keyNetwork, e.Network, keyENI, e.ID)
		default:
			errs = append(errs, fmt.Errorf("ENI %s of instance %s: %w", e.ID, e.Instance, err))
		}
	}
	return deleted, errors.Join(errs...)
}

// garbage lists ENIs that nobody will attach. What is young is left alone, and
// what belongs to an instance that is on its way into service.
func (f *Function) garbage(ctx context.Context) ([]plan.ENI, error) {
	before := time.Now().Add(-f.Settings.SweepAge)
	enis, err := f.Cloud.Unattached(ctx)
	if err != nil {
		return nil, err
	}
	var instances []string
	for _, e := range enis {
		if e.Created.Before(before) && e.Instance != "" {
			instances = append(instances, e.Instance)
		}
	}
	if len(instances) == 0 {
		return nil, nil
	}
	slices.Sort(instances)
	states, err := f.Scaling.States(ctx, slices.Compact(instances))
	if err != nil {
		return nil, err
	}
	lives := map[string]plan.Life{}
	for instance, state := range states {
		lives[instance] = plan.Life{Waiting: state.Starting()}
		if !state.Starting() {
			continue
		}
		attached, err := f.Cloud.Tagged(ctx, instance) // it may have another one for the network
		if err != nil {
			return nil, err
		}
		enis = append(enis, slices.DeleteFunc(attached, func(e plan.ENI) bool { return e.Attachment == nil })...)
	}
	return plan.Garbage(enis, lives, before), nil
}
