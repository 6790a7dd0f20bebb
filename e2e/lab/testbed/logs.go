package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// Run runs a command in a worker; see [guest.Dialer.Run].
func (l *Lab) Run(ctx context.Context, worker string, out io.Writer, args ...string) error {
	return l.RunWith(ctx, worker, nil, out, args...)
}

// RunWith is Run for a command that reads.
func (l *Lab) RunWith(ctx context.Context, worker string, in io.Reader, out io.Writer, args ...string) error {
	for _, w := range l.workers {
		if w.name == worker {
			return guest.Dialer(l.network.Dial).Run(ctx, w.address.Addr(), in, out, args...)
		}
	}
	return fmt.Errorf("there is no worker %s", worker)
}

// logTimeout bounds how long one worker's logs take.
const logTimeout = 20 * time.Second

// SaveLogs saves what Stop takes away in a new directory, which it names: the
// workers' logs, which are in their memory, their consoles, and the control
// plane's logs. It saves what it can, and the error says what it could not.
func (l *Lab) SaveLogs(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "lab-logs-")
	if err != nil {
		return err
	}
	l.say("logs are kept in %s", dir)
	var errs []error
	for _, w := range l.workers {
		if kernel, ok := l.kernels[w.name]; ok && kernel.Err() == nil {
			errs = append(errs, l.collect(ctx, w.name, filepath.Join(dir, w.name+".log")))
		}
	}
	for _, pattern := range []string{"*.console", planeDir + "/*.log"} {
		files, err := filepath.Glob(l.path(pattern))
		errs = append(errs, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			errs = append(errs, err, os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o600))
		}
	}
	return errors.Join(errs...)
}

// report is what is worth knowing of a worker.
const report = `ip addr; ip route; ip neigh; cd /var/log && for f in *.log; do echo "==> $f"; cat "$f"; done`

func (l *Lab) collect(ctx context.Context, worker, path string) error {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(l.Run(ctx, worker, f, "/bin/sh", "-c", report), f.Close())
}
