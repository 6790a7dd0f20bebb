package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// choose returns docker where its daemon answers, else buildah.
func choose(ctx context.Context, o order) (engine, error) {
	if dockerAnswers(ctx) {
		return docker{o}, nil
	}
	if err := needBuildah(ctx, os.Geteuid() == 0); err != nil {
		return nil, err
	}
	return newBuildah(ctx, o)
}

// needBuildah installs buildah where it is missing and root asks.
func needBuildah(ctx context.Context, root bool) error {
	if _, err := exec.LookPath("buildah"); err == nil {
		return nil
	}
	missing := errors.New("no docker daemon answers and there is no buildah: sudo apt-get install buildah")
	if _, err := exec.LookPath("apt-get"); err != nil || !root {
		return missing
	}
	for _, arguments := range [][]string{{"update", "-qq"}, {"install", "-qq", "-y", "--no-install-recommends", "buildah"}} {
		if _, err := command(ctx, "", "apt-get", arguments...); err != nil {
			return fmt.Errorf("%w: %w", missing, err)
		}
	}
	return nil
}

func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

// arguments are those that docker and buildah have in common.
func (o order) arguments(name, arch string) []string {
	list := []string{
		"--target", name, "--platform", "linux/" + arch,
		"--build-arg", "VERSION=" + o.version,
		"--build-arg", "COMMIT=" + o.commit,
		"--build-arg", "SOURCE_DATE_EPOCH=" + strconv.FormatInt(o.epoch, 10),
	}
	if o.builder != "" {
		list = append(list, "--build-arg", "BUILDER="+o.builder)
	}
	return list
}

// docker builds by BuildKit.
type docker struct{ order order }

// String names the program.
func (docker) String() string { return "docker" }

func (docker) close(context.Context) error { return nil }

// build has no attestations added: they hold the time of the build, and the
// bill of materials is written here.
func (d docker) build(ctx context.Context, name, arch, file string) error {
	args := append([]string{"buildx", "build", "--provenance=false", "--sbom=false"}, d.order.arguments(name, arch)...)
	_, err := command(ctx, "", "docker", append(args, "--output", "type=oci,rewrite-timestamp=true,dest="+file, ".")...)
	if err != nil {
		return fmt.Errorf("%w\nA driver that cannot export OCI archives is replaced by: docker buildx create --use", err)
	}
	return nil
}

// command runs a program in a directory and returns its output. An error holds
// the end of what it said.
func command(ctx context.Context, dir, name string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, arguments...)
	var out, said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &said
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it cleans up
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Run(); err != nil {
		text := append(out.Bytes(), said.Bytes()...)
		return "", fmt.Errorf("%s %s: %w\n%s", name, arguments[0], err, text[max(0, len(text)-4000):])
	}
	return out.String(), nil
}
