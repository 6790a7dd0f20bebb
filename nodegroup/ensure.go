package nodegroup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/plan"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// Log keys.
const (
	keyInstance = "instance"
	keyNetwork  = "network"
	keyENI      = "eni"
	keyAddress  = "address"
	keyReason   = "reason"
	keyError    = "error"
)

// run is one call of Ensure. It keeps nothing that another one needs: the next
// one finds by tags what this one made.
type run struct {
	*Group
	instance string
	log      *slog.Logger

	tags      map[string]string      // of the instance
	subnets   map[string]plan.Subnet // nil until they were read
	contents  map[string]Contents
	limits    plan.Limits
	strangers map[string]bool // attached ENIs that are known not to be ours
	launches  []Launch
	memory    memory

	denied map[string]bool // actions that were denied, and tried once more
}

// Ensure gives an instance its ENIs. It returns when it has them, when it
// cannot get them, or when ctx ends, with the error that stood in the way last.
// An instance is never refused by one look alone.
func (g *Group) Ensure(ctx context.Context, instance string) (Outcome, error) {
	return g.newRun(instance).loop(ctx)
}

func (g *Group) newRun(instance string) *run {
	return &run{
		Group: g, instance: instance, log: g.Log.With(keyInstance, instance),
		contents: map[string]Contents{}, strangers: map[string]bool{}, memory: newMemory(), denied: map[string]bool{},
	}
}

// loop looks, compares and does until nothing is missing.
func (r *run) loop(ctx context.Context) (Outcome, error) {
	var doubted []plan.Refusal // what the last look refused
	var last error
	for tries := 0; ; tries++ {
		p, view, done, err := r.compare(ctx)
		switch {
		case err != nil:
			last = err
		case len(p.Refusals) > 0 && sameReasons(doubted, p.Refusals):
			return r.refuse(ctx, view, p.Refusals, p.Warnings)
		case len(p.Refusals) > 0:
			doubted, last = p.Refusals, fmt.Errorf("instance %s: %s", r.instance, p.Refusals[0].Message)
			if err := sleep(ctx, confirmAfter); err != nil {
				return Outcome{Result: Wait}, last
			}
			continue
		case done:
			return Outcome{Result: Continue, Warnings: p.Warnings}, nil
		default:
			doubted = nil
			var progress bool
			if progress, err = r.do(ctx, view, p.Steps); err == nil && progress {
				tries = -1
				continue // a look that began after the last write
			}
			last = err
		}
		if refusal, ok := r.final(err); ok {
			return r.refuse(ctx, view, []plan.Refusal{refusal}, nil)
		}
		if err := r.pause(ctx, tries, last); err != nil {
			return Outcome{Result: Wait}, r.unfinished(last)
		}
	}
}

// compare is a look, and what is missing by it and by what was done lately. All
// is done only when the look alone shows it.
func (r *run) compare(ctx context.Context) (p plan.Plan, view plan.View, done bool, err error) {
	seen, err := r.look(ctx)
	if err != nil {
		return p, seen, false, err
	}
	if refusal, foreign := r.foreign(seen.Instance); foreign {
		return plan.Plan{Refusals: []plan.Refusal{refusal}}, seen, false, nil
	}
	view = r.remembered(seen)
	bySight := plan.Diff(r.Settings.Networks, seen, plan.Options{})
	return plan.Diff(r.Settings.Networks, view, plan.Options{}), view, bySight.Done(), nil
}

// foreign refuses an instance that lacks one of the two tags: nothing of it is
// touched, because two clusters may have node groups of one name.
func (r *run) foreign(i plan.Instance) (plan.Refusal, bool) {
	if i.State.Gone() {
		return plan.Refusal{}, false
	}
	for _, want := range [][2]string{{TagCluster, r.Settings.Cluster}, {TagNodeGroup, r.Settings.Name}} {
		if r.tags[want[0]] != want[1] {
			return plan.Refusal{Reason: spec.SettingsReason, Message: fmt.Sprintf("instance %s has no tag %s=%s; tag the Auto Scaling group and let it propagate the tag at launch", r.instance, want[0], want[1])}, true
		}
	}
	return plan.Refusal{}, false
}

// final reports whether an error ends the attempts: EC2 said no, and said so
// once more where rights may have been on their way.
func (r *run) final(err error) (plan.Refusal, bool) {
	reason, ok := reasonOf(err)
	if !ok || reason == spec.NotAuthorised && !r.denied[actionOf(err)] {
		return plan.Refusal{}, false
	}
	return plan.Refusal{Reason: reason, Message: err.Error(), Network: networkOf(err)}, true
}

// pause waits before the next look.
func (r *run) pause(ctx context.Context, tries int, last error) error {
	d := lastPause
	if tries < 4 {
		d = min(firstPause<<max(tries, 0), lastPause)
	}
	d = r.jittered(d)
	if reason, ok := reasonOf(last); ok && reason == spec.NotAuthorised {
		r.denied[actionOf(last)], d = true, authoriseAfter
	}
	if last != nil {
		r.log.Warn("not done yet, will be retried", keyError, last)
	}
	return sleep(ctx, d)
}

// unfinished is what Ensure returns when its time is over.
func (r *run) unfinished(last error) error {
	if last == nil {
		return fmt.Errorf("instance %s: EC2 has not carried out yet what was asked of it", r.instance)
	}
	return fmt.Errorf("instance %s: %w", r.instance, last)
}

// sameReasons reports whether two looks refuse for the same reasons.
func sameReasons(a, b []plan.Refusal) bool {
	same := func(x, y plan.Refusal) bool { return x.Network == y.Network && x.Reason == y.Reason }
	return len(a) > 0 && slices.EqualFunc(a, b, same)
}

// refuse ends the attempts. What is held back keeps what it has: it is tried
// again.
func (r *run) refuse(ctx context.Context, view plan.View, refusals []plan.Refusal, warnings []string) (Outcome, error) {
	for _, refusal := range refusals {
		r.log.Error("worker is refused", keyNetwork, refusal.Network, keyReason, refusal.Reason, keyError, refusal.Message)
	}
	result := r.resultOf(refusals)
	if result == Abandon {
		if err := r.leave(ctx, view); err != nil {
			return Outcome{Result: Wait, Refusals: refusals}, fmt.Errorf("instance %s is given up, and ENIs are left: %w", r.instance, err)
		}
	}
	return Outcome{Result: result, Refusals: refusals, Warnings: warnings}, nil
}

// jittered returns a duration between the half and the whole of d.
func (g *Group) jittered(d time.Duration) time.Duration {
	return d/2 + time.Duration(g.Random()*float64(d/2))
}

// resultOf is what becomes of a worker that is refused: one refusal that no new
// worker would change holds it.
func (g *Group) resultOf(refusals []plan.Refusal) Result {
	holds := func(r plan.Refusal) bool { return g.Settings.OnRefusal.Holds(r.Reason) }
	if slices.ContainsFunc(refusals, holds) {
		return Wait
	}
	return Abandon
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stepError is a step that failed.
type stepError struct {
	step plan.Step
	err  error
}

func (e *stepError) Error() string {
	if e.step.ENI == "" {
		return fmt.Sprintf("network %s: %v", e.step.Network, e.err)
	}
	return fmt.Sprintf("network %s: ENI %s: %v", e.step.Network, e.step.ENI, e.err)
}

func (e *stepError) Unwrap() error { return e.err }

// actionOf names the call that failed.
func actionOf(err error) string {
	if failure, ok := errors.AsType[*fault.Error](err); ok {
		return failure.Action
	}
	return ""
}

// isGone reports whether what a call named is not there any more.
func isGone(err error) bool { return fault.MeaningOf(err) == fault.Missing }
