package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// leash starts programs for envtest, which would leave them behind when this
// process is killed, and would wait for as long as they take to end well. It is
// a pipe that this process holds open, and one launcher for each program, which
// kills it when the pipe is closed and when it is told to end.
type leash struct {
	dir  string
	pipe *os.File
	once sync.Once
}

// launcher runs a program. The last wait is for one that was killed: the signal
// ends the wait before it.
const launcher = `#!/bin/sh
trap 'kill -KILL $program' TERM
%s "$@" &
program=$!
(read -r _ <%s; kill -KILL $program) 2>/dev/null &
watch=$!
wait $program
code=$?
kill $watch
wait $program 2>/dev/null
exit $code
`

// newLeash makes the pipe, in dir.
func newLeash(dir string) (*leash, error) {
	l := &leash{dir: filepath.Join(dir, "leash")}
	if err := os.RemoveAll(l.dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		return nil, err
	}
	if err := syscall.Mkfifo(l.path("pipe"), 0o600); err != nil {
		return nil, fmt.Errorf("make the pipe that programs end with: %w", err)
	}
	var err error
	l.pipe, err = os.OpenFile(l.path("pipe"), os.O_RDWR, 0) // does not wait for a reader
	return l, err
}

func (l *leash) path(name string) string { return filepath.Join(l.dir, name) }

// launcher returns the path of a program that runs another one.
func (l *leash) launcher(program string) (string, error) {
	path := l.path(filepath.Base(program))
	// No process that is started now may have the file open for writing: it
	// could not be executed.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return path, os.WriteFile(path, fmt.Appendf(nil, launcher, quote(program), quote(l.path("pipe"))), 0o700) //nolint:gosec // it is to be executed
}

// quote makes one word of the shell of a path.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// close kills what still runs.
func (l *leash) close() (err error) {
	l.once.Do(func() { err = l.pipe.Close() })
	return err
}
