package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func addresses(w http.ResponseWriter, r *http.Request) {
	i, err := net.InterfaceByName(r.FormValue("interface"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	list, err := i.Addrs()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, a := range list {
		fmt.Fprintln(w, a)
	}
}

// changeAddress adds an address to an interface, or removes it.
func changeAddress(w http.ResponseWriter, r *http.Request) {
	prefix, err := netip.ParsePrefix(r.FormValue("address"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	link, err := netlink.LinkByName(r.FormValue("interface"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	address := &netlink.Addr{IPNet: &net.IPNet{
		IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
	}}
	change := netlink.AddrAdd
	if r.Method == http.MethodDelete {
		change = netlink.AddrDel
	} else if prefix.Addr().Is6() {
		address.Flags = unix.IFA_F_NODAD // a floating address does not wait for those whom it replaces
	}
	if err := change(link, address); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
