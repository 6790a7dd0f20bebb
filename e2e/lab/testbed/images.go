package testbed

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/image"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/node"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// Image is the test image of package podbox, which every worker has.
const Image = "docker.io/lab/podbox:1"

// productTag is the tag of the product's images; the chart's values say it too.
const productTag = "lab"

// product lists the programs of the product that run in the cluster.
func product() []string { return []string{"webhook", "ipmgr", "controller"} }

// compile builds what is of this repository: the product's programs as the
// Dockerfile does it, and the lab's own. Go's cache makes that a second.
func (l *Lab) compile(ctx context.Context) error {
	lab, err := programs.Dir("e2e/lab")
	if err != nil {
		return err
	}
	for _, name := range []string{node.Init, "podbox"} {
		if err := l.goBuild(ctx, lab, "./"+name, name); err != nil {
			return err
		}
		l.assets.programs[name] = l.path(name)
	}
	ours := product()
	if l.options.NodeGroup {
		ours = append(ours, nodegroup)
	}
	for _, name := range ours {
		if err := l.goBuild(ctx, filepath.Join(lab, "..", ".."), "./cmd/"+name, name); err != nil {
			return err
		}
	}
	return nil
}

// buildEnd is how long an interrupted build may take to end.
const buildEnd = 20 * time.Second

func (l *Lab) goBuild(ctx context.Context, dir, pkg, name string) error {
	l.say("building %s", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", l.path(name), pkg)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}                 // a Ctrl-C is for our user, who then stops it
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it removes its temporary files
	cmd.WaitDelay = buildEnd
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

// writeImages leaves one archive of all images in the lab's directory.
func (l *Lab) writeImages(ctx context.Context) error {
	images := []image.Image{{Tag: Image, Name: "podbox", Args: []string{"pause"}}}
	for _, name := range product() {
		images = append(images, image.Image{Tag: "docker.io/multus-ipmgr/" + name + ":" + productTag, Name: name})
	}
	for i := range images {
		program, err := os.ReadFile(l.path(images[i].Name))
		if err != nil {
			return err
		}
		images[i].Program = program
	}
	failover, err := l.keepalivedImage(ctx)
	if err != nil {
		return err
	}
	applets, err := l.busyboxImage(ctx)
	if err != nil {
		return err
	}
	images = append(images, failover, applets)
	var archive bytes.Buffer
	if err := image.Write(&archive, images...); err != nil {
		return err
	}
	l.assets.images = l.path("images.tar")
	return os.WriteFile(l.assets.images, archive.Bytes(), 0o600)
}
