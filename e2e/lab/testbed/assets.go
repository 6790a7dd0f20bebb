package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/node"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// assets are the files of the host that workers are made of.
type assets struct {
	kernel, modules, preload string
	runc, helm               string
	programs                 map[string]string // by name
	images                   string
}

// modulesDir is where Debian's package has UML's modules.
const modulesDir = "/usr/lib/uml/modules"

// gather finds or builds the assets.
func (l *Lab) gather(ctx context.Context) (err error) {
	a := &l.assets
	a.modules = modulesDir
	if a.kernel, a.runc, err = installed(); err != nil {
		if err := l.install(ctx, err); err != nil {
			return err
		}
		if a.kernel, a.runc, err = installed(); err != nil {
			return err
		}
	}
	if a.preload, err = uml.Preload(ctx, l.options.Dir); err != nil {
		return err
	}
	found, err := programs.Build(ctx, l.options.Progress, append(node.Programs(), helm)...)
	if err != nil {
		return err
	}
	a.helm = found[helm]
	delete(found, helm)
	a.programs = found
	if err := l.compile(ctx); err != nil {
		return err
	}
	return l.writeImages(ctx)
}

// installed finds what only Debian packages have.
func installed() (kernel, runc string, err error) {
	kernel, missing := exec.LookPath("linux.uml")
	runc, missing2 := exec.LookPath("runc")
	_, missing3 := os.Stat(modulesDir)
	if err := errors.Join(missing, missing2, missing3); err != nil {
		return "", "", err
	}
	kernel, err1 := filepath.Abs(kernel)
	runc, err2 := filepath.Abs(runc)
	return kernel, runc, errors.Join(err1, err2)
}

// install installs the packages whose lack is the cause, if this process may.
func (l *Lab) install(ctx context.Context, cause error) error {
	command := []string{"apt-get", "install", "-y", "--no-install-recommends", "user-mode-linux", "runc"}
	if _, err := exec.LookPath(command[0]); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%w\nInstall what is missing with: sudo %s", cause, strings.Join(command, " "))
	}
	for _, args := range [][]string{{"apt-get", "update", "-qq"}, command} {
		l.say("%s", strings.Join(args, " "))
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
