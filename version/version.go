// Package version says which build of multus-ipmgr this is.
package version

import "runtime/debug"

// version is set by the linker (make build); a plain "go build" leaves it empty.
var version string

// String returns the version: the one the build was stamped with, else the
// module's version or commit, else "devel".
func String() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return "devel-" + setting.Value[:12]
		}
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
