package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// boot makes the worker's root and network.
func boot() error {
	if err := mountAll([]mount{{"proc", "/proc", "proc", 0, ""}, {"sysfs", "/sys", "sysfs", 0, ""}}); err != nil {
		return err
	}
	commandLine, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	c, err := guest.Read(string(commandLine))
	if err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(guest.Config) error
	}{
		{"load modules", loadModules}, {"make the root", makeRoot}, {"enter the root", enterRoot},
		{"write files", writeFiles}, {"set up the network", setUpNetwork},
	} {
		if err := step.do(c); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		mark(step.what)
	}
	return startServices(c)
}

// configPath is where the child finds the configuration.
const configPath = "/run/lab.json"

func startServices(c guest.Config) error {
	if err := c.Write(configPath); err != nil {
		return err
	}
	cmd := exec.Command(guest.Programs+"/guestinit", servicesArgument)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = []string{"PATH=" + guest.Programs + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=linux"}
	return cmd.Start()
}

// reap waits for orphans, such as the shims of containers, until there is no
// process left, which means that the services failed.
func reap() error {
	for {
		_, err := unix.Wait4(-1, nil, 0, nil)
		if errors.Is(err, unix.ECHILD) {
			return err
		}
	}
}

func powerOff() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	os.Exit(1) //nolint:revive // not the first process, which powers off when no other is left
}

// mark writes to the console how long the kernel has run.
func mark(what string) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // zero is as good as a guess
	fmt.Fprintf(os.Stdout, "guestinit: %6.2f s: %s\n", float64(now.Nano())/1e9, what)
}
