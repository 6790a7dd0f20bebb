package testbed

import (
	"context"
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
	if err := l.install(ctx, l.lacking()); err != nil {
		return err
	}
	a.modules = modulesDir
	if a.kernel, err = find(kernelProgram); err != nil {
		return err
	}
	if a.runc, err = find(runcProgram); err != nil {
		return err
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

// The programs of Debian packages that are used as they are.
const (
	kernelProgram = "linux.uml"
	runcProgram   = "runc"
)

// lacking lists the Debian packages that the lab needs and this machine has not.
func (l *Lab) lacking() (packages []string) {
	_, noKernel := find(kernelProgram)
	_, noModules := os.Stat(modulesDir)
	if noKernel != nil || noModules != nil {
		packages = append(packages, "user-mode-linux")
	}
	if _, err := find(runcProgram); err != nil {
		packages = append(packages, "runc")
	}
	if _, err := exec.LookPath("curl"); l.options.NodeGroup && err != nil { // the host script's, in the worker
		packages = append(packages, "curl")
	}
	if _, err := exec.LookPath(uml.Compiler); uml.NeedsCompiler() && err != nil {
		packages = append(packages, "gcc", "libc6-dev")
	}
	return packages
}

// find finds a program where it may be outside of the PATH of a user.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", program))
	}
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// install installs packages, if this process may.
func (l *Lab) install(ctx context.Context, packages []string) error {
	if len(packages) == 0 {
		return nil
	}
	update := []string{"apt-get", "update", "-qq"}
	install := append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, packages...)
	if _, err := exec.LookPath(install[0]); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("the lab needs the Debian packages %s; get them with:\n  sudo sh -c '%s && %s'",
			strings.Join(packages, ", "), strings.Join(update, " "), strings.Join(install, " "))
	}
	for _, args := range [][]string{update, install} {
		l.say("%s", strings.Join(args, " "))
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
