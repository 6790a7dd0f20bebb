package nad

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
)

// staticAddress is an address that each pod gets.
type staticAddress struct {
	Text    string `json:"address"`
	Gateway string `json:"gateway"`
	// What static calls its own results: a key in just this case means them, and
	// the plugin refuses a text.
	Address net.IPNet
	Version string
}

// static reads the section of the IPAM plugin of that name. Addresses in
// runtimeConfig or args replace those of the section.
// Source: github.com/containernetworking/plugins, plugins/ipam/static.
func (r *reader) static() {
	var section struct {
		Capabilities  map[string]bool `json:"capabilities"`
		RuntimeConfig requested       `json:"runtimeConfig"`
		Args          struct {
			CNI requested `json:"cni"`
		} `json:"args"`
		IPAM struct {
			result
			Addresses []staticAddress `json:"addresses"`
			DNS       types.DNS       `json:"dns"`
		} `json:"ipam"`
	}
	if !r.decode(&section) {
		return
	}
	r.routes(section.IPAM.Routes)
	field, addresses := r.ipam.Field+".addresses", section.IPAM.Addresses
	if ips := section.Args.CNI.IPs; len(ips) > 0 {
		field, addresses = r.plugin+".args.cni.ips", asAddresses(ips)
	}
	if ips := section.RuntimeConfig.IPs; len(ips) > 0 {
		field, addresses, r.ipam.fixed = r.plugin+".runtimeConfig.ips", asAddresses(ips), true
	}
	if len(addresses) == 0 && !section.Capabilities["ips"] {
		r.add(RangeEmpty, field, "static has no address, and pods cannot ask for one; add addresses, or \"capabilities\": {\"ips\": true} next to the plugin's type")
		return
	}
	if r.fits(field, "addresses", &r.sums.addresses, len(addresses), MaxAddresses) {
		r.addresses(field, addresses, parseCIDR)
	}
}

// requested are the addresses of runtimeConfig and of args.
type requested struct {
	IPs []string `json:"ips"`
}

func asAddresses(ips []string) []staticAddress {
	addresses := make([]staticAddress, len(ips))
	for i, ip := range ips {
		addresses[i].Text = ip
	}
	return addresses
}

// addresses reads a list of static addresses, each a pool of one.
func (r *reader) addresses(field string, list []staticAddress, parse func(string) (netip.Prefix, error)) {
	var all []netip.Addr
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		p, err := parse(s.Text)
		if err != nil {
			r.add(IPAMMalformed, at, "%s refuses this: %v", r.ipam.Type, err)
			continue
		}
		pool := Pool{Field: at, Network: p.Masked(), Ranges: []Range{{p.Addr(), p.Addr()}}}
		if s.Gateway != "" {
			pool.GatewayField = at + ".gateway"
			pool.Gateway = r.strictAddr(pool.GatewayField, s.Gateway)
		}
		all = append(all, p.Addr())
		r.give(pool)
	}
	r.single(r.ipam.version, field, all)
}

// strictAddr reads an address that makes the plugin fail when it is none.
func (r *reader) strictAddr(field, text string) netip.Addr {
	a, err := parseAddr(text)
	if err != nil {
		r.add(IPAMMalformed, field, "%s refuses this: %v", r.ipam.Type, err)
	}
	return a
}
