package blackbox_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// process is one ipmgr program, running or ended.
type process struct {
	scene *scene
	pod   *netlab.Pod
	mode  string
	env   []string
	log   buffer // standard error
	out   buffer

	cmd         *exec.Cmd
	termination *os.File
	done        chan struct{}
	code        int // once done
}

// worker is where a pod runs, as its environment describes it to ipmgr.
func (s *scene) environment(worker string) []string {
	return []string{
		"AWS_REGION=" + region,
		"AWS_ENDPOINT_URL_EC2=" + s.server.EC2URL,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + s.server.IMDSURL[worker],
		"AWS_ACCESS_KEY_ID=" + vpcsim.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + vpcsim.SecretAccessKey,
		"IPMGR_LOG_LEVEL=debug",
	}
}

// start starts "ipmgr mode" in a pod of worker 1. Entries of env replace those
// of the standard environment; one without a value removes it.
func (s *scene) start(pod *netlab.Pod, mode string, env ...string) *process {
	s.Helper()
	return s.startOn(worker1, pod, mode, env...)
}

// startOn starts ipmgr in a pod of another worker.
func (s *scene) startOn(worker string, pod *netlab.Pod, mode string, env ...string) *process {
	s.Helper()
	program, err := sharedProgram()
	s.do(err)
	p := &process{scene: s, pod: pod, mode: mode, env: override(s.environment(worker), env), done: make(chan struct{})}
	p.termination, err = terminationFile()
	s.do(err)
	p.cmd = exec.Command(program, mode)
	p.cmd.Env, p.cmd.Stderr, p.cmd.Stdout = p.env, &p.log, &p.out
	p.cmd.ExtraFiles = []*os.File{p.termination}
	s.do(pod.Start(p.cmd))
	s.mu.Lock()
	s.processes = append(s.processes, p)
	s.mu.Unlock()
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code says it
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	return p
}

// override replaces entries of base by those of env with the same name.
func override(base, env []string) []string {
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		base = slices.DeleteFunc(base, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		if value != "" {
			base = append(base, entry)
		}
	}
	return base
}

// wait waits until the program ended and returns its exit code.
func (p *process) wait() int {
	p.scene.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.scene.Fatalf("ipmgr %s in %s does not end", p.mode, p.pod.Name)
	}
	return p.code
}

// terminate sends SIGTERM and returns the exit code.
func (p *process) terminate() int {
	p.scene.Helper()
	p.scene.do(p.cmd.Process.Signal(syscall.SIGTERM))
	return p.wait()
}

// stop kills the program if it runs, and closes what it had.
func (p *process) stop() {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Kill() // it may have ended now
		<-p.done
	}
}

// message returns the termination message, or its text in the log where the
// kubelet would take it from there.
func (p *process) message() string {
	p.scene.Helper()
	text, err := readAll(p.termination)
	p.scene.do(err)
	if !mounted() {
		text = p.log.text()
	}
	return text
}

// record is one line of the log.
type record struct {
	Time      time.Time `json:"time"`
	Level     string    `json:"level"`
	Message   string    `json:"msg"`
	Address   string    `json:"address"`
	Interface string    `json:"interface"`
	ENI       string    `json:"eni"`
	Code      string    `json:"code"`
	Took      string    `json:"took"`
	Owner     string    `json:"owner"`
	Losses    int       `json:"losses"`
	NextTry   string    `json:"nextTry"`
	Error     string    `json:"error"`
}

// records returns the log so far. Lines that are no JSON fail the test.
func (p *process) records() []record {
	p.scene.Helper()
	var list []record
	for line := range strings.Lines(p.log.text()) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Message == "" || r.Time.IsZero() {
			p.scene.Errorf("ipmgr %s logs a line that is not a JSON record: %s", p.mode, line)
			continue
		}
		list = append(list, r)
	}
	return list
}

// logged returns the records with one message.
func (p *process) logged(message string) []record {
	p.scene.Helper()
	return slices.DeleteFunc(p.records(), func(r record) bool { return r.Message != message })
}

// awaitLog waits until the program logged the message count times.
func (p *process) awaitLog(message string, count int) []record {
	p.scene.Helper()
	var list []record
	p.scene.eventually("the log line "+message, func() (bool, any) {
		list = p.logged(message)
		return len(list) >= count, p.log.text()
	})
	return list
}

// ready runs "ipmgr ready" in the program's pod and returns its exit code and
// what it says.
func (p *process) ready() (int, string) {
	p.scene.Helper()
	program, err := sharedProgram()
	p.scene.do(err)
	var said bytes.Buffer
	cmd := exec.Command(program, "ready")
	cmd.Stderr, cmd.Stdout = &said, &said
	p.scene.do(p.pod.Start(cmd))
	_ = cmd.Wait() // the exit code says it
	return cmd.ProcessState.ExitCode(), said.String()
}

// awaitReady waits until "ipmgr ready" exits with 0.
func (p *process) awaitReady() {
	p.scene.Helper()
	p.scene.eventually("readiness", func() (bool, any) {
		code, said := p.ready()
		return code == 0, said
	})
}

// awaitMissing waits until "ipmgr ready" says that something is missing.
func (p *process) awaitMissing(parts ...string) {
	p.scene.Helper()
	p.scene.eventually("what is missing", func() (bool, any) {
		code, said := p.ready()
		return code == 1 && containsAll(said, parts), said
	})
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// buffer is the growing output of a process. It is safe for concurrent use.
type buffer struct {
	mu   sync.Mutex
	data []byte
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	return len(p), nil
}

func (b *buffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data)
}
