// Package lambdasim is AWS Lambda for one function: it starts the real program,
// serves the runtime API to it, one process for each invocation at a time, and
// treats asynchronous invocations as Lambda does. One that fails, times out or
// whose process dies is tried two more times, and is then a dead letter.
//
// The time between tries passes as fast as a test wants, see [Options.Speed]; the
// program itself goes by the machine's clock. A process between two invocations
// is not frozen, as it is by Lambda.
package lambdasim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Bounds of a function. Those of events and answers are Lambda's. Of more tries
// than are kept the older half is forgotten, and so of dead letters.
const (
	MaxEvent  = 256 << 10
	MaxAnswer = 6 << 20
	MaxQueued = 10_000
	MaxKept   = 20_000
)

// Options describe a function. Command is required.
type Options struct {
	// Command is the program and its arguments.
	Command []string
	// Env is its environment besides what Lambda sets. Nothing of this process's
	// environment reaches it.
	Env []string
	// Concurrency is how many invocations run at once: 10 by default, as in new
	// accounts.
	Concurrency int
	// Timeout is how long one may take, 2 minutes by default.
	Timeout time.Duration
	// Retries are the times before each further try, by default one and two
	// minutes, and MaxAge is how old an event may become, 15 minutes by default.
	Retries []time.Duration
	MaxAge  time.Duration
	// Speed is how much faster than the machine's the clock of Retries, MaxAge and
	// [Function.Every] runs: 1 by default, 60 makes a minute of a second.
	Speed float64
	// Log gets what the program writes; nothing by default.
	Log io.Writer
}

func (o *Options) fill() error {
	if len(o.Command) == 0 {
		return errors.New("the function has no command")
	}
	if o.Concurrency < 0 || o.Timeout < 0 || o.MaxAge < 0 || o.Speed < 0 {
		return errors.New("concurrency, timeout, age and speed of a function cannot be negative")
	}
	if o.Concurrency == 0 {
		o.Concurrency = 10
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Retries == nil {
		o.Retries = []time.Duration{time.Minute, 2 * time.Minute}
	}
	if o.MaxAge == 0 {
		o.MaxAge = 15 * time.Minute
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Log = &lockedWriter{to: o.Log}
	return nil
}

// Result is how one try of an invocation ended.
type Result string

// The results.
const (
	Succeeded Result = "succeeded"
	Failed    Result = "failed"    // the function answered with an error
	TimedOut  Result = "timed out" // and was killed
	Died      Result = "died"      // its process ended, or was killed on command
)

// Try is one try of an invocation.
type Try struct {
	// Request is the id of the invocation, the same for all its tries.
	Request string
	Event   []byte
	Result  Result
	// Answer is what the function answered, an error too.
	Answer []byte
	Took   time.Duration
}

// invocation is an event on its way through its tries.
type invocation struct {
	id      string
	event   []byte
	arrived time.Time
	tries   int
}

// Function is one function. Its methods may be called concurrently.
type Function struct {
	Options
	ctx  context.Context //nolint:containedctx // it ends with Close, not with a call
	stop context.CancelFunc
	done sync.WaitGroup

	mu       sync.Mutex
	queue    []*invocation
	waiting  int // invocations that wait for their next try
	starting int // processes that have not asked for an invocation yet
	idle     []*sandbox
	busy     map[*sandbox]bool
	tries    []Try
	letters  [][]byte
	changed  chan struct{} // closed when a try has ended; nil while nobody waits
}

// New returns a function without processes: they start with the invocations. It
// ends with ctx, or with [Function.Close].
func New(ctx context.Context, o Options) (*Function, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	f := &Function{Options: o, busy: map[*sandbox]bool{}}
	f.ctx, f.stop = context.WithCancel(ctx)
	return f, nil
}

// Invoke takes an event, as an asynchronous invocation does. The error says that
// the event is too large, or that too many wait.
func (f *Function) Invoke(event []byte) error {
	if len(event) > MaxEvent {
		return fmt.Errorf("RequestEntityTooLarge: the event has %d bytes, want at most %d", len(event), MaxEvent)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue)+f.waiting >= MaxQueued {
		return fmt.Errorf("TooManyRequests: %d events wait for the function", MaxQueued)
	}
	f.queue = append(f.queue, &invocation{id: newID(), event: slices.Clone(event), arrived: time.Now()})
	f.dispatch()
	return nil
}

// newID is the id of an invocation, a UUID as Lambda's.
func newID() string {
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}

// Every invokes the function with an event again and again, as a schedule does,
// until it is closed.
func (f *Function) Every(interval time.Duration, event []byte) {
	f.done.Go(func() {
		for f.sleep(interval) {
			_ = f.Invoke(event) // a schedule that is refused comes again
		}
	})
}

// sleep waits by the clock of the function, and reports whether it is still open.
func (f *Function) sleep(d time.Duration) bool {
	timer := time.NewTimer(f.real(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// real is how long something takes by the machine's clock.
func (f *Function) real(d time.Duration) time.Duration { return time.Duration(float64(d) / f.Speed) }

// dispatch gives events to processes that are idle, and starts further ones.
func (f *Function) dispatch() {
	for len(f.queue) > 0 && len(f.idle) > 0 {
		last := len(f.idle) - 1
		s := f.idle[last]
		f.idle = f.idle[:last]
		f.busy[s] = true
		s.run <- f.queue[0]
		f.queue = f.queue[1:]
	}
	for f.starting < len(f.queue) && f.starting+len(f.busy)+len(f.idle) < f.Concurrency && f.ctx.Err() == nil {
		f.starting++
		f.done.Go(f.host)
	}
}

// finish is the end of one try: of the last one, or a further one follows.
func (f *Function) finish(i *invocation, t Try) {
	t.Request, t.Event = i.id, i.event
	f.tries = keep(f.tries, t)
	i.tries++
	switch {
	case t.Result == Succeeded || f.ctx.Err() != nil:
	case i.tries > len(f.Retries) || time.Since(i.arrived) > f.real(f.MaxAge):
		f.letters = keep(f.letters, i.event)
	default:
		f.waiting++
		f.done.Go(func() { f.retry(i) })
	}
	f.announce()
}

func keep[T any](list []T, v T) []T {
	if len(list) == MaxKept {
		list = slices.Clone(list[MaxKept/2:])
	}
	return append(list, v)
}

func (f *Function) retry(i *invocation) {
	open := f.sleep(f.Retries[i.tries-1])
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting--
	if open {
		f.queue = append(f.queue, i)
		f.dispatch()
	}
	f.announce()
}

// Tries lists the tries that have ended, in that order.
func (f *Function) Tries() []Try {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tries)
}

// DeadLetters lists the events of invocations that failed for good.
func (f *Function) DeadLetters() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.letters)
}

// Kill kills all processes that are busy with an invocation, and returns how
// many.
func (f *Function) Kill() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.busy {
		s.kill()
	}
	return len(f.busy)
}

// Wait waits until no event is under way, queued or to be tried again. The error
// says that ctx ended first.
func (f *Function) Wait(ctx context.Context) error {
	for {
		changed, done := f.watch()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the function is not done: %w", ctx.Err())
		}
	}
}

func (f *Function) watch() (changed <-chan struct{}, done bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue)+len(f.busy)+f.waiting == 0 || f.ctx.Err() != nil {
		return nil, true
	}
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed, false
}

// announce wakes those who wait.
func (f *Function) announce() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// Close kills all processes and waits for them.
func (f *Function) Close() {
	f.stop()
	f.mu.Lock()
	f.announce()
	f.mu.Unlock()
	f.done.Wait()
}

// lockedWriter is written by several processes.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

// Write implements io.Writer.
func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}
