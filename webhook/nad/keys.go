package nad

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// vocabulary is what the parts of a configuration may hold. encoding/json takes
// keys in any case.
// Sources: the JSON structs of github.com/containernetworking (cni, plugins) and
// github.com/k8snetworkplumbingwg (whereabouts, sriov-cni).

// commonKeys may be in every plugin's section, and in a list of plugins.
func commonKeys() []string {
	return []string{
		"name", "type", "cniVersion", "cniVersions", "plugins", "disableCheck", "disableGC", "loadOnlyInlinedPlugins",
		"capabilities", "ipam", "dns", "args", "runtimeConfig", "prevResult", "cni.dev/valid-attachments",
	}
}

// mainKeys are the keys of the plugins whose sections are read.
func mainKeys(kind string) []string {
	switch kind {
	case "ipvlan":
		return []string{"master", "mode", "mtu", "linkInContainer"}
	case "macvlan":
		return []string{"master", "mode", "mtu", "mac", "linkInContainer", "bcqueuelen"}
	case "host-device":
		return []string{"device", "hwaddr", "DPDKMode", "kernelpath", "pciBusID"}
	case "sriov":
		return []string{
			"vlan", "vlanQoS", "vlanProto", "mac", "mtu", "spoofchk", "trust", "link_state", "min_tx_rate", "max_tx_rate",
			"deviceID", "rdmaIsolation", "logLevel", "logFile", "master",
		}
	}
	return nil
}

// otherKeys are legal in sections of other plugins. In one that ignores them
// they are not typing mistakes.
func otherKeys() []string {
	return slices.Concat(mainKeys("ipvlan"), mainKeys("macvlan"), mainKeys("host-device"), mainKeys("sriov"), []string{
		"allmulti", "backend", "bandwidth", "bridge", "conditionsV4", "conditionsV6", "daemonSocketPath", "dataDir", "disableContainerInterface",
		"egressBurst", "egressRate", "enabledad", "externalSetMarkChain", "firewalldZone", "forceAddress", "group", "hairpinMode", "ingressBurst",
		"ingressPolicy", "ingressRate", "ipMasq", "ipMasqBackend", "iptablesAdminChainName", "isDefaultGateway", "isGateway", "ips", "macspoofchk",
		"markMasqBit", "masqAll", "multiQueue", "nonShapedSubnets", "owner", "portIsolation", "portMappings", "preserveDefaultVlan", "promisc",
		"promiscMode", "provide", "request", "selinuxContext", "shapedSubnets", "skipDefault", "snat", "sysctl", "table", "txQLen", "vlanId",
		"vlanTrunk", "vrfname", "routes", "flushroutes", "flushgateway", "addroutes", "delroutes", "links", "linksInContainer", "failOverMac",
		"miimon", "resourceName", "delegates", "kubeconfig", "logLevel", "logFile", "logToStderr", "confDir", "cniDir", "binDir", "description", "comment",
	})
}

// ipamKeys are the keys of an IPAM section, ipamKinds the types that have some.
func ipamKeys(kind string) []string {
	switch kind {
	case "whereabouts":
		return []string{
			"name", "type", "routes", "dns", "datastore", "addresses", "ipRanges", "range", "range_start", "range_end", "exclude", "gateway",
			"node_slice_size", "network_name", "enable_overlapping_ranges", "configuration_path", "kubernetes", "log_file", "log_level",
			"leader_lease_duration", "leader_renew_deadline", "leader_retry_period", "reconciler_cron_expression", "sleep_for_race",
			"etcd_host", "etcd_username", "etcd_password", "etcd_key_file", "etcd_cert_file", "etcd_ca_cert_file", "podName", "podNamespace",
		}
	case "host-local":
		return []string{"name", "type", "routes", "dataDir", "resolvConf", "ranges", "subnet", "rangeStart", "rangeEnd", "gateway"}
	case "static":
		return []string{"name", "type", "routes", "dns", "addresses"}
	}
	return nil
}

func ipamKinds() []string { return []string{"whereabouts", "host-local", "static"} }

// anyIPAMKey are the keys of all IPAM sections: one of another plugin means
// something to its author and nothing to this one.
func anyIPAMKey() []string {
	var all []string
	for _, kind := range ipamKinds() {
		all = append(all, ipamKeys(kind)...)
	}
	return append(all, "address", "dst", "gw", "ranges", "excludes",
		"cidr", "end", "ipv4_pools", "ipv6_pools", "mask", "netmask", "pool", "poolName", "poolType", "start")
}

// knownPlugins are the types of plugins that are in use.
func knownPlugins() []string {
	return []string{
		"ipvlan", "macvlan", "host-device", "sriov", "bridge", "ptp", "vlan", "loopback", "dummy", "tap", "bandwidth", "firewall", "portmap",
		"sbr", "tuning", "vrf", "ib-sriov", "ib-sriov-cni", "ipoib", "ovs", "bond", "macvtap", "rdma", "route-override", "userspace", "vhostuser",
		"accelerated-bridge", "cnv-bridge", "cnv-tuning", "cnv-macvtap", "multus", "multus-shim", "passthru", "mlx-sriov", "netdevice",
		"aws-cni", "egress-cni", "egress-v4-cni", "egress-v6-cni", "calico", "cilium-cni", "flannel", "weave-net", "antrea", "kube-ovn",
		"ovn-k8s-cni-overlay", "azure-vnet", "kindnet", "spiderpool", "coordinator", "win-bridge", "win-overlay", "l2bridge", "spidernet",
	}
}

// knownIPAMs are the types of IPAM plugins that are in use.
func knownIPAMs() []string {
	return append(ipamKinds(), "dhcp", "calico-ipam", "spiderpool", "nv-ipam", "kube-ovn", "azure-vnet-ipam", "delegated-plugin", "ipam-node-agent")
}

// meant is a hint at the known word that was probably meant, or empty.
func meant(word string, known []string) string {
	if slices.Contains(known, word) {
		return ""
	}
	near := Nearest(word, known)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", near)
}

// kind warns of a plugin's type that is nearly that of a known one.
func (l *findings) kind(field, kind string) {
	if hint := meant(kind, knownPlugins()); hint != "" {
		l.add(PluginUnknown, field+".type", "the plugin %q is not a known one, so pods will not start unless it is on every worker%s", kind, hint)
	}
}

// section warns of misspelt keys in a plugin's section.
func (l *findings) section(kind, field string, raw json.RawMessage) {
	if keys := mainKeys(kind); keys != nil {
		l.keys(kind, field, members(raw), slices.Concat(commonKeys(), keys), otherKeys(), nil)
	}
}

// ipamSection warns of keys in an IPAM section that its plugin does not know:
// misspelt ones, and those of other IPAM plugins.
func (l *findings) ipamSection(kind, field string, section object) {
	own := ipamKeys(kind)
	if own == nil {
		return
	}
	l.keys(kind, field, section, own, nil, anyIPAMKey())
	part := section.member
	l.each(kind, field+".routes", part("routes"), []string{"dst", "gw", "mtu", "advmss", "priority", "table", "scope"})
	l.keys(kind, field+".dns", members(part("dns")), []string{"nameservers", "domain", "search", "options"}, nil, nil)
	switch kind {
	case "whereabouts":
		l.each(kind, field+".ipRanges", part("ipRanges"), []string{"range", "range_start", "range_end", "exclude"})
		l.each(kind, field+".addresses", part("addresses"), []string{"address", "gateway", "version"})
	case "static":
		l.each(kind, field+".addresses", part("addresses"), []string{"address", "gateway", "version"})
	case "host-local":
		for i, set := range elements(part("ranges")) {
			l.each(kind, fmt.Sprintf("%s.ranges[%d]", field, i), set, []string{"subnet", "rangeStart", "rangeEnd", "gateway"})
		}
	}
}

// each checks the keys of the objects of a list.
func (l *findings) each(kind, field string, list json.RawMessage, own []string) {
	for i, element := range elements(list) {
		l.keys(kind, fmt.Sprintf("%s[%d]", field, i), members(element), own, nil, anyIPAMKey())
	}
}

// keys warns of keys that are not among a plugin's own: of those near one, and
// of those that are foreign, which is to say of another plugin. Legal ones
// elsewhere are passed over.
func (l *findings) keys(kind, field string, section object, own, legal, foreign []string) {
	looked := 0
	for _, key := range slices.Sorted(maps.Keys(section)) {
		if among(key, own) || among(key, legal) {
			continue
		}
		looked++
		if looked > maxStrangeKeys || l.meant == maxMeant {
			return
		}
		l.meant++
		near := Nearest(key, own)
		switch {
		case near != "":
			l.add(SettingIgnored, field+"."+key, "%s does not know %q and ignores it; did you mean %q?", kind, key, near)
		case among(key, foreign):
			l.add(SettingIgnored, field+"."+key, "%s does not know %q, a setting of other IPAM plugins, and ignores it; remove it, or write what %s knows: %s", kind, key, kind, strings.Join(own, ", "))
		}
	}
}

// among reports whether a key is in the list in any case.
func among(key string, list []string) bool {
	return slices.ContainsFunc(list, func(k string) bool { return strings.EqualFold(k, key) })
}

// object is a JSON object, taken apart once: a section may be long.
type object map[string]json.RawMessage

// members takes an object apart. What is not an object has no members.
func members(raw json.RawMessage) object {
	var o object
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o
}

// member returns what an object holds under a key, in any case: of several, the
// key that is written the same, else the first in order.
func (o object) member(key string) json.RawMessage {
	if exact, ok := o[key]; ok {
		return exact
	}
	found := ""
	for k := range o {
		if strings.EqualFold(k, key) && (found == "" || k < found) {
			found = k
		}
	}
	return o[found]
}

// elements returns the first elements of a list whose keys are looked at.
func elements(raw json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list[:min(len(list), maxStrangeKeys)]
}

// maxStrangeKeys bounds the keys of one object, and the objects of one list, for
// which the intended key is searched.
const maxStrangeKeys = 32
