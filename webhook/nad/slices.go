package nad

import (
	"net/netip"
	"strconv"
	"strings"
)

// slices checks node_slice_size, by which whereabouts's controller cuts the
// first range into a slice for each node. If it cannot cut the range, it logs
// that, makes no pool, and no pod starts.
// Source: github.com/k8snetworkplumbingwg/whereabouts, pkg/node-controller and
// pkg/iphelpers (DivideRangeBySize).
func (r *reader) slices(c whereabouts, name string, ranges []whereaboutsRange) {
	if c.NodeSliceSize == "" || len(ranges) == 0 {
		return
	}
	field := r.ipam.Field + ".node_slice_size"
	for _, w := range ranges[1:] {
		r.add(IPAMMalformed, w.field+".range", "no pod starts: with node_slice_size whereabouts cuts the first range only, and gives a pod the same address for this one; write one NAD for each range")
	}
	if network := ranges[0].network; network.IsValid() {
		r.slice(field, c.NodeSliceSize, network)
	}
	_, place, list := strings.Cut(r.plugin, ".plugins")
	switch {
	case list && place != "[0]":
		r.add(IPAMMalformed, field, "no pod starts: whereabouts's controller reads the first plugin of a list only; put this plugin first")
	case list && c.NetworkName == "":
		r.add(IPAMMalformed, field, "no pod starts: whereabouts's controller names the slices after network_name, and does not read the name of a list of plugins; write \"network_name\" into the ipam section")
	case c.NetworkName+name == "":
		r.add(IPAMMalformed, field, "no pod starts: whereabouts's controller names the slices after network_name, else after the configuration's name, and there is neither; write \"network_name\" into the ipam section")
	case c.NetworkName == "" && !objectName(name):
		r.add(IPAMMalformed, field, "no pod starts: whereabouts's controller names an object %q after this configuration, which Kubernetes refuses (lower case letters, digits, dashes); write \"network_name\" into the ipam section", name)
	}
}

// slice checks the length of a slice.
func (r *reader) slice(field, text string, network netip.Prefix) {
	length, err := strconv.Atoi(strings.TrimPrefix(text, "/"))
	switch {
	case err != nil:
		r.add(IPAMMalformed, field, "no pod starts: %q is not a prefix length; write one such as \"/28\"", text)
	case !network.Addr().Is4():
		r.add(IPAMMalformed, field, "no pod starts, and whereabouts's controller panics: it cuts IPv4 ranges only, and %s is IPv6; remove node_slice_size", network)
	case length < network.Bits():
		r.add(IPAMMalformed, field, "no pod starts: a slice of /%d is larger than the range %s; write a longer length, such as \"/%d\"", length, network, min(network.Bits()+2, network.Addr().BitLen()-2))
	case length > network.Addr().BitLen()-2:
		r.add(RangeEmpty, field, "a slice of /%d has no address between its first and its last one, which whereabouts does not hand out; write \"/30\" or a shorter length", length)
	}
}
