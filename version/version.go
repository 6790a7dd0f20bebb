// Package version says which build of multus-ipmgr this is.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and commit are set by the linker (make build); a plain "go build"
// leaves them empty.
var version, commit string

// String returns the version: the one the build was stamped with, else the
// module's version or commit, else "devel".
func String() string {
	if version != "" {
		return version
	}
	if revision := setting("vcs.revision"); len(revision) >= 12 {
		return "devel-" + revision[:12]
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Commit returns the commit that the program was built from: the one the build
// was stamped with, else the one that Go found, else "unknown".
func Commit() string { return cmp.Or(commit, setting("vcs.revision"), "unknown") }

// Line is what programs print when they are asked for their version.
func Line() string {
	return fmt.Sprintf("%s (commit %s, %s, %s/%s)", String(), Commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// setting returns what Go wrote into the program by the name, if anything.
func setting(name string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == name {
			return s.Value
		}
	}
	return ""
}
