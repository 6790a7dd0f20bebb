package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/sbom"
)

const module = "github.com/multus-ipmgr/multus-ipmgr"

// served are the programs of a cluster, each with an image.
var served = []string{"controller", "ipmgr", "webhook"}

// platform is what a program is built for.
type platform struct{ os, arch string }

// bundle is one archive of programs.
type bundle struct {
	name string
	platform
	programs []string
}

// bundles lists the archives: everything for Linux, and the plugin of kubectl
// for the machines of the people who type it.
func (o order) bundles() []bundle {
	var list []bundle
	for _, arch := range o.arches {
		list = append(list,
			bundle{"multus-ipmgr", platform{"linux", arch}, append([]string{"kubectl-ipmgr", "vpcsim", function}, served...)},
			bundle{"kubectl-ipmgr", platform{"linux", arch}, []string{"kubectl-ipmgr"}},
			bundle{"kubectl-ipmgr", platform{"darwin", arch}, []string{"kubectl-ipmgr"}})
	}
	return list
}

// base is the name of a result without its ending.
func (o order) base(name string, p platform) string {
	return strings.Join([]string{name, o.version, p.os, p.arch}, "_")
}

// programs compiles all programs and writes the archives and their bills.
func (o order) programs(ctx context.Context) error {
	licence, err := os.ReadFile("LICENSE")
	if err != nil {
		return fmt.Errorf("run this at the root of the repository: %w", err)
	}
	for _, b := range o.bundles() {
		files := []oci.File{{Path: "LICENSE", Mode: 0o644, Content: licence}}
		for _, name := range b.programs {
			content, err := o.compile(ctx, name, b.platform)
			if err != nil {
				return err
			}
			files = append(files, oci.File{Path: name, Mode: 0o755, Content: content})
		}
		if err := o.publish(o.base(b.name, b.platform), files); err != nil {
			return err
		}
	}
	return nil
}

// publish writes an archive and its bill of materials.
func (o order) publish(base string, files []oci.File) error {
	data, err := pack(files, o.epoch)
	if err != nil {
		return err
	}
	document, err := sbom.Archive(base+".tar.gz", o.version, o.epoch, files)
	if err != nil {
		return err
	}
	bill, err := document.JSON()
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.path(base+".cdx.json"), bill, 0o600); err != nil {
		return err
	}
	return os.WriteFile(o.path(base+".tar.gz"), data, 0o600)
}

// compile builds a program as the Dockerfile does.
func (o order) compile(ctx context.Context, name string, p platform) ([]byte, error) {
	file := filepath.Join(o.scratch, p.os, p.arch, name)
	flags := fmt.Sprintf("-s -w -X %s/version.version=%s -X %s/version.commit=%s", module, o.version, module, o.commit)
	environ := []string{"CGO_ENABLED=0", "GOOS=" + p.os, "GOARCH=" + p.arch, "GOFLAGS=", "GOWORK=off"}
	arguments := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", file}
	if name == function {
		arguments = append(arguments, "-tags", "lambda.norpc") // see the Makefile
	}
	_, err := command(ctx, environ, "go", append(arguments, "./cmd/"+name)...)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// command runs a program and returns its output. An error holds the end of what
// it said.
func command(ctx context.Context, environ []string, name string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, arguments...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.Env = append(os.Environ(), environ...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it cleans up
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Run(); err != nil {
		text := append(out.Bytes(), said.Bytes()...)
		return "", fmt.Errorf("%s %s: %w\n%s", name, arguments[0], err, text[max(0, len(text)-4000):])
	}
	return out.String(), nil
}
