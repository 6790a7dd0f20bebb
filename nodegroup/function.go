package nodegroup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/event"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// Function answers the lifecycle hooks of a node group: by events, and by a
// sweep that makes good what events did not say.
type Function struct {
	*Group

	Scaling Scaling
}

const (
	// heartbeatEvery is shorter than any time-out that suits a launch.
	heartbeatEvery = time.Minute
	// reserve is what an invocation keeps of its time for the answer.
	reserve = 5 * time.Second
	// answerTimeout bounds the attempts to answer where nothing else does.
	answerTimeout = time.Minute
)

// Serve does what an event asks for. An error means that somebody has to try
// again: nothing was answered.
func (f *Function) Serve(ctx context.Context, e event.Event) (Outcome, error) {
	action := Action{Group: e.Group, Hook: e.Hook, Instance: e.Instance, Token: e.Token}
	switch e.Purpose {
	case event.Ignore:
		f.Log.Info("event is ignored", keyReason, e.Why)
		return Outcome{Result: NotOurs}, nil
	case event.LetGo:
		return f.concluded(ctx, action, func(ctx context.Context) (Outcome, error) {
			return f.answer(ctx, action, Outcome{Result: Continue})
		})
	case event.Attach, event.Verify:
		return f.concluded(ctx, action, func(ctx context.Context) (Outcome, error) { return f.launch(ctx, action, e.Time) })
	}
	return Outcome{}, fmt.Errorf("the purpose %q is not that of an instance", e.Purpose)
}

// concluded does something for an instance, and logs the one line that says
// what became of it.
func (f *Function) concluded(ctx context.Context, a Action, do func(context.Context) (Outcome, error)) (Outcome, error) {
	began := time.Now()
	ctx, calls := counting(ctx)
	outcome, err := do(ctx)
	level, reason := slog.LevelInfo, spec.Reason("")
	if len(outcome.Refusals) > 0 {
		level, reason = slog.LevelWarn, outcome.Refusals[0].Reason
	}
	attributes := []any{
		keyInstance, a.Instance, "group", a.Group, "hook", a.Hook, "result", outcome.Result, keyReason, reason,
		"calls", calls.Load(), "duration", math.Round(time.Since(began).Seconds()*1000) / 1000,
	}
	if err != nil {
		level, attributes = slog.LevelError, append(attributes, keyError, err)
	}
	f.Log.Log(ctx, level, "outcome", attributes...)
	return outcome, err
}

// end is when the work that precedes an answer has to end, so that there is
// time for the answer. It is the zero Time if nothing says so.
func (f *Function) end(ctx context.Context) time.Time {
	var end time.Time
	if deadline, ok := ctx.Deadline(); ok {
		end = deadline.Add(-reserve)
	}
	if budget := f.Settings.Budget; budget > 0 && (end.IsZero() || time.Until(end) > budget) {
		end = time.Now().Add(budget)
	}
	return end
}

// until returns a context that is done at a time, if there is one.
func until(ctx context.Context, end time.Time) (context.Context, context.CancelFunc) {
	if end.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end)
}

// launch gives an instance its ENIs and answers the hook that waits since a
// time. An old event is taken up only while the hook still waits.
func (f *Function) launch(ctx context.Context, a Action, since time.Time) (Outcome, error) {
	end := f.end(ctx)
	working, cancel := until(ctx, end)
	defer cancel()
	next := since.Add(heartbeatEvery)
	if !time.Now().Before(next) {
		next = time.Now().Add(heartbeatEvery)
		switch err := f.Scaling.Heartbeat(working, a); {
		case errors.Is(err, ErrNotWaiting):
			return f.tooLate(working, a)
		case err != nil:
			f.Log.Warn("heartbeat failed", keyInstance, a.Instance, keyError, err)
		}
	}
	return f.attach(ctx, end, a, next)
}

// attach gives an instance its ENIs until the time for that ends, and answers the
// hook. The next heartbeat is due at a time.
func (f *Function) attach(ctx context.Context, end time.Time, a Action, heartbeat time.Time) (Outcome, error) {
	working, cancel := until(ctx, end)
	defer cancel()
	stop := f.beat(working, a, heartbeat)
	outcome, err := f.Ensure(working, a.Instance)
	stop()
	if outcome.Result == Continue || outcome.Result == Abandon {
		return f.answer(ctx, a, outcome)
	}
	return outcome, errors.Join(err, f.hold(ctx, a))
}

// tooLate deletes what is too much of an instance for which nobody waits. It
// attaches nothing: the instance may be in service.
func (f *Function) tooLate(ctx context.Context, a Action) (Outcome, error) {
	f.Log.Info("the hook does not wait any more, nothing is attached", keyInstance, a.Instance)
	if err := f.Tidy(ctx, a.Instance); err != nil {
		return Outcome{Result: Wait}, err
	}
	return Outcome{Result: NotOurs}, nil
}

// beat keeps an action from timing out until it is stopped, or nobody waits.
func (f *Function) beat(ctx context.Context, a Action, next time.Time) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ; sleep(ctx, time.Until(next)) == nil; next = time.Now().Add(heartbeatEvery) {
			switch err := f.Scaling.Heartbeat(ctx, a); {
			case errors.Is(err, ErrNotWaiting):
				return
			case err != nil && ctx.Err() == nil:
				f.Log.Warn("heartbeat failed", keyInstance, a.Instance, keyError, err)
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// hold keeps an instance waiting for the next try. That nobody waits is all
// right: it is as good as an answer.
func (f *Function) hold(ctx context.Context, a Action) error {
	err := f.Scaling.Heartbeat(ctx, a)
	if err == nil || errors.Is(err, ErrNotWaiting) {
		return nil
	}
	return fmt.Errorf("heartbeat for instance %s: %w", a.Instance, err)
}

// answer ends an action. An answer that was lost is given again; that nobody
// waits for it then is success.
func (f *Function) answer(ctx context.Context, a Action, o Outcome) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for tries := 0; ; tries++ {
		err := f.Scaling.Answer(ctx, a, o.Result)
		if err == nil || errors.Is(err, ErrNotWaiting) {
			return o, nil
		}
		pause, again := f.answerAgain(err, tries)
		if !again || sleep(ctx, pause) != nil {
			return Outcome{Result: Wait, Refusals: o.Refusals}, fmt.Errorf("instance %s is not answered for with %s: %w", a.Instance, o.Result, err)
		}
		f.Log.Warn("answer failed, will be retried", keyInstance, a.Instance, keyError, err)
	}
}

// answerAgain reports whether an answer that failed is given again, and after
// which pause. Rights that are new, and the tags that they ask for, reach IAM
// late.
func (f *Function) answerAgain(err error, tries int) (pause time.Duration, again bool) {
	switch meaning := fault.MeaningOf(err); {
	case meaning == fault.Denied:
		return authoriseAfter, tries == 0
	case meaning.Passes():
		return f.jittered(min(firstPause<<min(tries, 4), lastPause)), true
	}
	return 0, false
}
