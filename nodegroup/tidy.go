package nodegroup

import (
	"context"
	"errors"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
)

// Tidy deletes the ENIs of an instance that are one too many, and those that an
// instance leaves behind that is gone. It makes and attaches nothing.
func (g *Group) Tidy(ctx context.Context, instance string) error {
	r := g.newRun(instance)
	p, view, _, err := r.compare(ctx)
	switch {
	case err != nil:
		return err
	case view.Instance.State.Gone():
		return r.leave(ctx, view)
	}
	var errs []error
	for _, s := range p.Steps {
		if s.Do == plan.Delete {
			errs = append(errs, r.finish(ctx, []plan.Step{s}, plan.Attachment{}))
		}
	}
	return errors.Join(errs...)
}
