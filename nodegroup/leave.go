package nodegroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
)

// detachTimeout bounds the wait until EC2 has detached an ENI.
const detachTimeout = 20 * time.Second

// leave prepares for the end of an instance: what is attached will end with it,
// the rest is deleted. What cannot be protected is taken off and deleted: it
// would outlive its worker.
func (r *run) leave(ctx context.Context, view plan.View) error {
	view = r.remembered(view) // some of it is younger than the look
	attachments := attachmentsOf(view)
	var errs []error
	for _, s := range plan.Leave(view) {
		err := r.finish(ctx, []plan.Step{s}, attachments[s.ENI])
		if s.Do == plan.Protect && fault.IsPermanent(err) {
			err = r.takeOff(ctx, s.ENI, attachments[s.ENI].ID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// takeOff detaches an ENI and deletes it.
func (r *run) takeOff(ctx context.Context, eni, attachment string) error {
	if err := r.Cloud.Detach(ctx, attachment); err != nil && !isGone(err) {
		return err
	}
	for began := time.Now(); time.Since(began) < detachTimeout; {
		enis, err := r.Cloud.ENIs(ctx, []string{eni})
		switch {
		case err != nil:
			return err
		case !slices.ContainsFunc(enis, func(e plan.ENI) bool { return e.Attachment != nil }):
			return r.Cloud.Delete(ctx, eni)
		}
		if err := sleep(ctx, firstPause); err != nil {
			return err
		}
	}
	return fmt.Errorf("ENI %s is still being detached", eni)
}
