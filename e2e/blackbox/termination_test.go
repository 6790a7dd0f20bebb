package blackbox_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	terminationLog = "/dev/termination-log"
	// terminationFD is the file descriptor that stands for the termination log
	// of each process: the first one after the standard streams.
	terminationFD = 3
	mountedKey    = "BLACKBOX_MOUNTED"
)

// mounted: this process sees a termination log of its own.
func mounted() bool { return os.Getenv(mountedKey) != "" }

// enterMounts starts this program again in a mount namespace in which
// /dev/termination-log exists, as the kubelet makes it for a container, and
// /etc/resolv.conf names the lab's name server. The log is a link to file
// descriptor 3 of the process that opens it, so that every process has its own. It
// returns only if that is not possible.
func enterMounts() error {
	if mounted() {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Exec moves the whole process to the namespaces of this thread.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := replaceDev(); err != nil {
		return fmt.Errorf("replace /dev: %w", err)
	}
	if err := replaceResolver(); err != nil {
		return fmt.Errorf("replace /etc/resolv.conf: %w", err)
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), mountedKey+"=yes"))
}

// replaceDev mounts a /dev that links to everything in the old one.
func replaceDev() error {
	const old = "/dev/.old"
	devices, err := os.ReadDir("/dev")
	if err != nil {
		return err
	}
	dev, err := unix.OpenTree(unix.AT_FDCWD, "/dev", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	if err := unix.Mount("tmpfs", "/dev", "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	if err := os.Mkdir(old, 0o755); err != nil {
		return err
	}
	if err := unix.MoveMount(dev, "", unix.AT_FDCWD, old, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	for _, device := range devices {
		if device.Name() == filepath.Base(terminationLog) {
			continue
		}
		if err := os.Symlink(old+"/"+device.Name(), "/dev/"+device.Name()); err != nil {
			return err
		}
	}
	return os.Symlink("/proc/self/fd/"+strconv.Itoa(terminationFD), terminationLog)
}

// replaceResolver mounts an /etc/resolv.conf that names the lab's name server.
func replaceResolver() error {
	const path = "/dev/.resolv.conf" // on the file system that replaceDev made
	if err := os.WriteFile(path, []byte("nameserver "+nameServer+"\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"), 0o600); err != nil {
		return err
	}
	return unix.Mount(path, "/etc/resolv.conf", "", unix.MS_BIND, "")
}

// terminationFile is a new file to be handed to a process as its termination
// log. It has no name.
func terminationFile() (*os.File, error) {
	file, err := os.CreateTemp(workDir, "termination")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

// readAll returns what a process wrote to file.
func readAll(file *os.File) (string, error) {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
	return string(text), err
}
