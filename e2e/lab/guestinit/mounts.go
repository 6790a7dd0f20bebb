package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// worldReadable is the mode of directories and of bound programs: pods have
// other users than root.
const worldReadable = 0o755

// newRoot is where the worker's root is made.
const newRoot = "/mnt/root"

// mount is one call of mount(2).
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func mountAll(mounts []mount) error {
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.source, m.target, err)
		}
	}
	return nil
}

// makeRoot lays a file system in memory over the host's files and mounts into
// it what a worker needs. Where containerd and kubelet write is in memory
// alone, as an overlay cannot lie on an overlay.
func makeRoot(c guest.Config) error {
	if err := unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "size=90%"); err != nil {
		return err
	}
	for _, dir := range []string{"/mnt/up", "/mnt/work", newRoot} {
		if err := os.Mkdir(dir, worldReadable); err != nil {
			return err
		}
	}
	over := mount{"overlay", newRoot, "overlay", 0, "lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work"}
	if err := mountAll([]mount{over}); err != nil {
		return err
	}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/var/lib", "/var/log", "/oldroot", guest.Programs} {
		if err := os.MkdirAll(newRoot+dir, worldReadable); err != nil {
			return err
		}
	}
	if err := mountAll(workerMounts()); err != nil {
		return err
	}
	for _, dir := range c.Empty {
		if err := os.MkdirAll(newRoot+dir, worldReadable); err != nil {
			return err
		}
		if err := mountAll([]mount{tmpfs(dir, "755")}); err != nil {
			return err
		}
	}
	return bindFiles(c.Binds)
}

// workerMounts are in the order in which they depend on each other.
func workerMounts() []mount {
	return []mount{
		{"proc", newRoot + "/proc", "proc", 0, ""},
		{"sysfs", newRoot + "/sys", "sysfs", 0, ""},
		{"cgroup2", newRoot + "/sys/fs/cgroup", "cgroup2", 0, ""},
		{"devtmpfs", newRoot + "/dev", "devtmpfs", 0, ""},
		tmpfs("/run", "755"), tmpfs("/tmp", "1777"), tmpfs("/var/lib", "755"), tmpfs("/var/log", "755"),
	}
}

func tmpfs(dir, mode string) mount { return mount{"tmpfs", newRoot + dir, "tmpfs", 0, "mode=" + mode} }

// bindFiles shows files of the host at places of the worker. The new root's
// own view of them may be hidden by a mount above.
func bindFiles(binds map[string]string) error {
	for target, source := range binds {
		if err := cover(source, newRoot+target); err != nil {
			return err
		}
	}
	return nil
}

// cover mounts a file upon a file, which it makes if need be.
func cover(source, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), worldReadable); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, worldReadable)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), mountAll([]mount{{source, target, "", unix.MS_BIND, ""}}))
}

// enterRoot makes newRoot the root of all. A chroot would not do: a container
// joined by its mount namespace, as exec does, would see the host's files.
func enterRoot(guest.Config) error {
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "oldroot"); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/oldroot", unix.MNT_DETACH); err != nil {
		return err
	}
	for _, dir := range []string{"/dev/pts", "/dev/shm"} {
		if err := os.MkdirAll(dir, worldReadable); err != nil {
			return err
		}
	}
	return mountAll([]mount{
		{"", "/", "", unix.MS_SHARED | unix.MS_REC, ""}, // kubelet propagates mounts
		{"devpts", "/dev/pts", "devpts", 0, "ptmxmode=666"},
		{"tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777"},
	})
}
