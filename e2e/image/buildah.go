package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// localBuilder is the image that takes the place of the Dockerfile's builder.
const localBuilder = "localhost/multus-ipmgr-builder"

// buildah builds in a storage of its own, which lives as long as the engine.
type buildah struct {
	order   order
	scratch string // directory
	driver  string // of the storage
	mounts  []string
}

// newBuildah makes the builder image unless another one is asked for.
func newBuildah(ctx context.Context, o order) (*buildah, error) {
	scratch, err := os.MkdirTemp("", "multus-ipmgr-image-")
	if err != nil {
		return nil, err
	}
	b := &buildah{order: o, scratch: scratch, driver: cmp.Or(os.Getenv("STORAGE_DRIVER"), "overlay")}
	if o.builder == "" {
		err = b.makeBuilder(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("builder image: %w", err), b.close(ctx))
	}
	return b, nil
}

// String names the program.
func (*buildah) String() string { return "buildah" }

// close ends what an interrupted build left, and deletes nothing while anything
// is mounted below: that may be this machine's Go.
func (b *buildah) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	_, err := b.run(ctx, "rm", "--all")
	if left := unmountBelow(b.scratch); left != nil {
		return errors.Join(err, fmt.Errorf("%s is left, as something is mounted there: %w", b.scratch, left))
	}
	return errors.Join(err, os.RemoveAll(b.scratch))
}

func (b *buildah) build(ctx context.Context, name, arch, file string) error {
	image := "localhost/" + name + ":" + arch
	args := append([]string{
		"build", "--isolation", "chroot", "--layers", "--pull-never", "--format", "oci", "--identity-label=false",
		"--timestamp", strconv.FormatInt(b.order.epoch, 10), "--tag", image,
		"--build-arg", "BUILDPLATFORM=linux/" + runtime.GOARCH, // buildah 1.28 does not know it by itself
	}, b.order.arguments(name, arch)...)
	for _, mount := range b.mounts {
		args = append(args, "--volume", mount)
	}
	if _, err := b.run(ctx, append(args, ".")...); err != nil {
		return err
	}
	// An archive that exists is added to.
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, err := b.run(ctx, "push", "--quiet", image, "oci-archive:"+file+":"+name)
	return err
}

// makeBuilder makes the image that the programs are compiled in, of a shell and
// the certificate authorities from Debian's packages. Go and its caches are
// mounted into it: copying them would take longer than the build.
//
// The authorities are not this machine's, to which its owner may have added.
func (b *buildah) makeBuilder(ctx context.Context) error {
	root := filepath.Join(b.scratch, "builder")
	if err := unpackDebian(ctx, root, "busybox-static", "ca-certificates"); err != nil {
		return err
	}
	if err := furnish(root); err != nil {
		return err
	}
	if err := b.mountGo(ctx); err != nil {
		return err
	}
	container, err := b.run(ctx, "from", "scratch")
	if err != nil {
		return err
	}
	container = strings.TrimSpace(container)
	for _, args := range [][]string{
		{"copy", "--quiet", container, root, "/"},
		{
			"config", "--env", "PATH=/usr/local/go/bin:/bin", "--env", "GOTOOLCHAIN=local", "--env", "GOPROXY=off",
			"--env", "GOMODCACHE=/mnt/modules", "--env", "GOCACHE=/mnt/builds", container,
		},
		{"commit", "--quiet", container, localBuilder},
		{"rm", container},
	} {
		if _, err := b.run(ctx, args...); err != nil {
			return err
		}
	}
	b.order.builder = localBuilder
	return nil
}

// mountGo has this machine's Go and its caches mounted, and the modules fetched.
func (b *buildah) mountGo(ctx context.Context) error {
	for variable, target := range map[string]string{
		"GOROOT": "/usr/local/go:ro", "GOMODCACHE": "/mnt/modules", "GOCACHE": "/mnt/builds",
	} {
		dir, err := command(ctx, "", "go", "env", variable)
		if err != nil {
			return err
		}
		b.mounts = append(b.mounts, strings.TrimSpace(dir)+":"+target)
	}
	list := []string{"list", "-deps", "-f", "{{.ImportPath}}"}
	for _, name := range b.order.names {
		list = append(list, "./cmd/"+name)
	}
	_, err := command(ctx, "", "go", list...)
	return err
}

// run runs a buildah command on the engine's storage.
func (b *buildah) run(ctx context.Context, args ...string) (string, error) {
	storage := []string{
		"--root", filepath.Join(b.scratch, "storage"), "--runroot", filepath.Join(b.scratch, "run"), "--storage-driver", b.driver,
	}
	out, err := command(ctx, "", "buildah", append(storage, args...)...)
	if err != nil {
		return "", fmt.Errorf("buildah %s with STORAGE_DRIVER=%s (vfs works everywhere, slowly): %w", args[0], b.driver, err)
	}
	return out, nil
}
