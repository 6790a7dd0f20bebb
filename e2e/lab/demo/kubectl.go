package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// user runs kubectl as a user would, who sees the commands, and returns what
// the last one printed.
func (d *demo) user(ctx context.Context, commands ...string) (out string, err error) {
	d.tell.Say("$ kubectl %s", strings.Join(commands, " && kubectl "))
	for _, c := range commands {
		if out, err = d.run(ctx, strings.Fields(c)...); err != nil {
			return out, err
		}
	}
	return out, nil
}

// run runs kubectl and returns what it printed.
func (d *demo) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.kubectl, args...)
	cmd.Dir = d.root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the demo, which then ends it
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.bed.Kubeconfig(), "HOME="+d.dir)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return string(out), errors.Join(fmt.Errorf("kubectl %s: %w\n%s%s", strings.Join(args, " "), err, out, complaint.String()), ctx.Err())
	}
	return string(out), nil
}
