package programs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program is a process whose output goes to a file.
type Program struct {
	*Process

	name string
	log  string
}

// Run starts a command, which does not outlive this process, and adds all it
// says to NAME.log in dir.
func Run(dir string, cmd *exec.Cmd) (*Program, error) {
	name := filepath.Base(cmd.Path)
	p := &Program{name: name, log: filepath.Join(dir, name+".log")}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := Start(cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.Process = Watch(cmd)
	return p, nil
}

// Until calls check, every 10 ms, until it returns nil. The error says that
// the program ended, or why the check failed when ctx ended.
func (p *Program) Until(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.Over():
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; last: %w; its log ends:\n%s", p.name, ctx.Err(), err, p.Tail())
		}
	}
}

// End stops the program. It is an error if the program had ended before or did
// not exit with 0.
func (p *Program) End(grace time.Duration) error {
	select {
	case <-p.Over():
		return p.failure()
	default:
	}
	p.Stop(grace)
	if p.Code() != 0 {
		return p.failure()
	}
	return nil
}

func (p *Program) failure() error {
	return fmt.Errorf("%s ended (%s); its log ends:\n%s", p.name, p.cmd.ProcessState, p.Tail())
}

// Tail returns the last lines of the program's log.
func (p *Program) Tail() string { return Tail(p.log) }

// Tail returns the last lines of a log file.
func Tail(path string) string {
	text, err := os.ReadFile(path)
	switch {
	case err != nil:
		return err.Error()
	case len(text) == 0:
		return "(it is empty)"
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
