package nad

import (
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
)

// result is what every IPAM plugin decodes by CNI's own types and hands on to
// the plugin that called it.
type result struct {
	Name   string
	Type   string         `json:"type"`
	Routes []*types.Route `json:"routes"`
}

// routes checks what the plugin can decode and the calling plugin or the kernel
// then refuses.
func (r *reader) routes(routes []*types.Route) {
	for i, route := range routes {
		field := fmt.Sprintf("%s.routes[%d]", r.ipam.Field, i)
		if route == nil || route.Dst.IP == nil {
			r.add(IPAMMalformed, field, "a route without \"dst\" fails every pod; write one such as {\"dst\": \"10.20.0.0/16\", \"gw\": \"10.10.1.1\"}")
			continue
		}
		addr, _ := netip.AddrFromSlice(route.Dst.IP)
		length, _ := route.Dst.Mask.Size()
		dst := netip.PrefixFrom(addr.Unmap(), length)
		switch gateway, _ := netip.AddrFromSlice(route.GW); {
		case dst.IsValid() && dst != dst.Masked():
			r.add(IPAMMalformed, field+".dst", "the kernel refuses this route and every pod fails: %s has host bits set; write %s", dst, dst.Masked())
		case route.GW != nil && gateway.Unmap().BitLen() != dst.Addr().BitLen():
			r.add(IPAMMalformed, field+".gw", "the kernel refuses this route and every pod fails: gateway %s and destination %s are of two families", gateway.Unmap(), dst)
		}
	}
}
