package nad

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/containernetworking/cni/pkg/version"
)

// ResourceAnnotation on a NAD makes Multus put a device of that resource into
// the configuration.
const ResourceAnnotation = "k8s.v1.cni.cncf.io/resourceName"

// pluginReader reads the section of one main plugin by the rules of that plugin,
// as far as they decide whether a pod starts and which ENI it gets.
// Source: github.com/containernetworking/plugins, plugins/main.
type pluginReader struct {
	field    string // "spec.config.plugins[0]"
	raw      json.RawMessage
	first    bool // nothing made an interface before
	resource bool // Multus puts a device in
	*findings
}

func (r pluginReader) read(kind string) {
	switch kind {
	case "ipvlan":
		r.ipvlan()
	case "macvlan":
		r.macvlan()
	case "host-device":
		r.hostDevice()
	}
}

func (r pluginReader) ipvlan() {
	var section struct {
		Master          string `json:"master"`
		Mode            string `json:"mode"`
		MTU             int    `json:"mtu"`
		LinkInContainer bool   `json:"linkInContainer"`
	}
	if r.decode("ipvlan", &section) {
		r.mode("ipvlan", section.Mode, "l2", "l3", "l3s")
		r.master("ipvlan", section.Master)
	}
}

func (r pluginReader) macvlan() {
	var section struct {
		Master          string `json:"master"`
		Mode            string `json:"mode"`
		MTU             int    `json:"mtu"`
		MAC             string `json:"mac"`
		LinkInContainer bool   `json:"linkInContainer"`
		Broadcast       uint32 `json:"bcqueuelen"`
		RuntimeConfig   struct {
			MAC string `json:"mac"`
		} `json:"runtimeConfig"`
	}
	if r.decode("macvlan", &section) {
		r.mode("macvlan", section.Mode, "bridge", "private", "vepa", "passthru")
		r.master("macvlan", section.Master)
	}
}

func (r pluginReader) hostDevice() {
	var section struct {
		Device        string `json:"device"`
		HWAddr        string `json:"hwaddr"`
		DPDKMode      bool
		KernelPath    string `json:"kernelpath"`
		PCIAddr       string `json:"pciBusID"`
		RuntimeConfig struct {
			DeviceID string `json:"deviceID"`
		} `json:"runtimeConfig"`
		Master       json.RawMessage `json:"master"` // means nothing, and is what people write
		Capabilities map[string]bool `json:"capabilities"`
	}
	if !r.decode("host-device", &section) {
		return
	}
	r.linkName("host-device", ".device", section.Device)
	named := section.Device + section.HWAddr + section.KernelPath + section.PCIAddr + section.RuntimeConfig.DeviceID
	switch {
	case named != "", r.resource, section.Capabilities["deviceID"]: // the latter lets pods say it
	case section.Master != nil:
		r.add(PluginMalformed, r.field+".master", "host-device refuses this: \"master\" means nothing to it; write \"device\": %s, or \"hwaddr\", \"kernelpath\" or \"pciBusID\"", section.Master)
	default:
		r.add(PluginMalformed, r.field+".device", "host-device refuses this: it names no device; write \"device\", \"hwaddr\", \"kernelpath\" or \"pciBusID\"")
	}
}

// decode decodes the section as the plugin does, and says what it refuses.
func (r pluginReader) decode(kind string, into any) bool {
	err := decode(r.raw, into)
	if err != nil {
		r.refused(PluginMalformed, kind, r.field, err)
	}
	return err == nil
}

// refused says which part of a section a plugin cannot decode.
func (l *findings) refused(rule Rule, kind, field string, err error) {
	where := field
	if m, ok := errors.AsType[mistake](err); ok {
		where += m.path
	}
	l.add(rule, where, "%s refuses this: %s %v", kind, where, err)
}

// mode checks the mode of a plugin; an empty one is the first.
func (r pluginReader) mode(kind, mode string, modes ...string) {
	if mode == "" || slices.Contains(modes, mode) {
		return
	}
	want := modes[0]
	if near := Nearest(mode, modes); near != "" {
		want = near
	}
	r.add(PluginMalformed, r.field+".mode", "%s refuses this: %q is not a mode; write %q (it knows %s)", kind, mode, want, strings.Join(modes, ", "))
}

// linkName checks the name of an interface of the worker. It may be an
// alternative name, of which nobody makes one with blanks; in YAML they are left
// over.
func (r pluginReader) linkName(kind, field, name string) {
	if strings.ContainsFunc(name, unicode.IsSpace) {
		r.add(PluginMalformed, r.field+field, "%s finds no interface of the name %q; write the name without blanks", kind, name)
	}
}

// master warns of a plugin that chooses the interface by itself.
func (r pluginReader) master(kind, master string) {
	r.linkName(kind, ".master", master)
	if master == "" && r.first {
		r.add(MasterMissing, r.field+".master", "without \"master\", %s takes the interface of the worker's default route, its primary ENI, where these addresses do not belong; write the interface of the subnet's ENI, such as \"master\": \"eth1\"", kind)
	}
}

// makesInterface reports whether a plugin gives the pod an interface of the name
// that Multus asks for. A second one in a list fails, as the name is taken.
func makesInterface(kind string) bool {
	switch kind {
	case "ipvlan", "macvlan", "host-device", "sriov", "bridge", "ptp", "vlan", "dummy", "tap":
		return true
	}
	return false
}

// runs checks the version of the CNI specification, which every plugin of a
// configuration is asked for.
func (l *findings) runs(d document) {
	supported := version.All.SupportedVersions()
	if d.CNIVersion == "" || slices.Contains(supported, d.CNIVersion) { // empty is 0.1.0
		return
	}
	l.add(PluginMalformed, "spec.config.cniVersion", "every plugin refuses this (\"incompatible CNI versions\"): %q is not a version that they know; write %q (they know %s)",
		d.CNIVersion, nearestVersion(d.CNIVersion, supported), strings.Join(supported, ", "))
}

// nearestVersion is the newest version that is not newer than the one given.
func nearestVersion(text string, supported []string) string {
	text = strings.TrimPrefix(text, "v")
	if slices.Contains(supported, text) {
		return text
	}
	for _, v := range slices.Backward(supported) {
		if newer, err := version.GreaterThanOrEqualTo(text, v); err == nil && newer {
			return v
		}
	}
	return "0.3.1"
}
