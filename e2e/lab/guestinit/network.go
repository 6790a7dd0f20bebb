package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// setUpNetwork names and addresses the interfaces.
func setUpNetwork(c guest.Config) error {
	if err := unix.Sethostname([]byte(c.Name)); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for _, i := range c.Interfaces {
		if err := setUp(i); err != nil {
			return fmt.Errorf("%s: %w", i.Name, err)
		}
	}
	if err := netlink.RouteAdd(&netlink.Route{Gw: c.Gateway.AsSlice()}); err != nil {
		return fmt.Errorf("default route by %s: %w", c.Gateway, err)
	}
	for key, value := range c.Sysctls {
		path := filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil { //nolint:gosec // the file exists
			return err
		}
	}
	return nil
}

func setUp(i guest.Interface) error {
	link, err := netlink.LinkByName(i.Device)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetName(link, i.Name); err != nil { // possible only before it is up
		return err
	}
	for _, p := range i.Addresses {
		a, err := netlink.ParseAddr(p.String())
		if err != nil {
			return err
		}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD // the VPC does not answer such probes
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return fmt.Errorf("address %s: %w", p, err)
		}
	}
	return netlink.LinkSetUp(link)
}
