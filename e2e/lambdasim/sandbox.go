package lambdasim

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"time"
)

// initTime is how long a process may take until it asks for its first
// invocation. Lambda's is the same.
const initTime = 10 * time.Second

// sandbox is one process with a runtime API of its own.
type sandbox struct {
	function *Function
	cmd      *exec.Cmd
	server   *http.Server
	// run gives the sandbox its next invocation.
	run chan *invocation
	// asked is sent to when the process asks for an invocation, and work answers
	// it. answers gets what it answered.
	asked   chan struct{}
	work    chan *invocation
	answers chan answer
	// dead is closed when the process has ended.
	dead chan struct{}
}

// answer is what a process says of its invocation.
type answer struct {
	id     string
	failed bool
	body   []byte
}

// host is the life of one process.
func (f *Function) host() {
	s, err := f.launch()
	if err == nil {
		defer s.end()
		err = s.initialise()
	}
	if err != nil {
		f.failToStart(err)
		return
	}
	for {
		i, ok := s.next()
		if !ok {
			return
		}
		t := s.perform(i)
		alive := t.Result == Succeeded || t.Result == Failed
		f.settle(s, i, t, alive)
		if !alive {
			return
		}
		if !s.again() {
			f.free()
			return
		}
	}
}

// settle records a try. A process that lives on is as one that starts until it
// asks for its next invocation.
func (f *Function) settle(s *sandbox, i *invocation, t Try, alive bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.busy, s)
	f.finish(i, t)
	if alive {
		f.starting++
	}
	f.dispatch()
}

// free gives up the place of a process that was about to ask.
func (f *Function) free() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starting--
	f.dispatch()
}

// launch starts the program.
func (f *Function) launch() (*sandbox, error) {
	listener, err := new(net.ListenConfig).Listen(f.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sandbox{
		function: f, run: make(chan *invocation, 1), asked: make(chan struct{}), work: make(chan *invocation),
		answers: make(chan answer), dead: make(chan struct{}),
	}
	s.server = &http.Server{Handler: s.api(), ReadHeaderTimeout: initTime}
	f.done.Go(func() { _ = s.server.Serve(listener) }) // ends with ErrServerClosed
	s.cmd = exec.CommandContext(f.ctx, f.Command[0], f.Command[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = f.Log, f.Log
	s.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=" + functionName,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + functionName,
		"AWS_LAMBDA_LOG_STREAM_NAME=simulated", "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "_HANDLER=bootstrap", "TZ=:UTC",
	}, f.Env...)
	if err := s.cmd.Start(); err != nil {
		_ = s.server.Close() // the reason is the error above
		return nil, err
	}
	f.done.Go(func() {
		_ = s.cmd.Wait() // however it ended, it has ended
		close(s.dead)
	})
	return s, nil
}

// functionName is what the process is told as its name.
const functionName = "simulated"

// initialise waits until the process asks for an invocation.
func (s *sandbox) initialise() error {
	timer := time.NewTimer(initTime)
	defer timer.Stop()
	select {
	case <-s.asked:
		return nil
	case a := <-s.answers:
		return fmt.Errorf("the function cannot start: %s", a.body)
	case <-s.dead:
		return fmt.Errorf("the function ended before it asked for an event: %s", s.cmd.ProcessState)
	case <-timer.C:
		return fmt.Errorf("the function did not ask for an event within %s", initTime)
	case <-s.function.ctx.Done():
		return s.function.ctx.Err()
	}
}

// failToStart fails the invocation for which a process was started.
func (f *Function) failToStart(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starting--
	if len(f.queue) == 0 || f.ctx.Err() != nil {
		return
	}
	first := f.queue[0]
	f.queue = f.queue[1:]
	f.finish(first, Try{Result: Died, Answer: []byte(err.Error())})
	f.dispatch()
}

// next waits for an invocation. There is none when the process has died while it
// was idle.
func (s *sandbox) next() (*invocation, bool) {
	s.function.rest(s)
	select {
	case i := <-s.run:
		return i, true
	case <-s.dead:
	case <-s.function.ctx.Done():
	}
	f := s.function
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy[s] { // it died with an invocation in its hands
		return <-s.run, true
	}
	f.idle = slices.DeleteFunc(f.idle, func(o *sandbox) bool { return o == s })
	return nil, false
}

// perform has the process carry out one invocation.
func (s *sandbox) perform(i *invocation) Try {
	begin, timer := time.Now(), time.NewTimer(s.function.Timeout)
	defer timer.Stop()
	t := Try{Result: Died}
	work := s.work
	for answered := false; !answered; {
		select {
		case work <- i:
			work = nil // it is under way
		case a := <-s.answers:
			if answered = a.id == i.id; !answered {
				continue // a late answer to an invocation before
			}
			t.Answer, t.Result = a.body, Succeeded
			if a.failed {
				t.Result = Failed
			}
		case <-timer.C:
			t.Result, answered = TimedOut, true
			t.Answer = fmt.Appendf(nil, "Task timed out after %.2f seconds", s.function.Timeout.Seconds())
			s.kill()
		case <-s.dead:
			answered = true
		}
	}
	t.Took = time.Since(begin)
	return t
}

// again waits until the process asks for its next invocation, and reports whether
// it does.
func (s *sandbox) again() bool {
	select {
	case <-s.asked:
		return true
	case <-s.dead:
		return false
	}
}

// rest makes a process that asked for an invocation idle.
func (f *Function) rest(s *sandbox) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starting--
	f.idle = append(f.idle, s)
	f.dispatch()
}

func (s *sandbox) kill() { _ = s.cmd.Process.Kill() } // it may have ended

// end removes what is left of a process.
func (s *sandbox) end() {
	s.kill()
	<-s.dead
	_ = s.server.Close() // nobody talks to it any more
}
