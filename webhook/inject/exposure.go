package inject

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
)

// mostNames is how many names a warning lists.
const mostNames = 8

// exposure warns about containers that see the IP manager's processes and may
// read its credentials: those of its user, and those that may trace others. In init
// mode it has ended before they start.
func exposure(pod Pod, mode spec.Mode) []string {
	var shared string
	switch {
	case mode != spec.Sidecar:
		return nil
	case pod.Spec.ShareProcessNamespace:
		shared = "shareProcessNamespace"
	case pod.Spec.HostPID:
		shared = "hostPID"
	default:
		return nil
	}
	var names []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if reaches(c.SecurityContext, pod.Spec.SecurityContext) {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	list := strings.Join(names[:min(len(names), mostNames)], ", ")
	if more := len(names) - mostNames; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return []string{fmt.Sprintf("%s lets these containers read the credentials of %s, because they run as its user %d or may trace processes (privileged, SYS_PTRACE): %s", shared, ContainerName, user, list)}
}

// reaches reports whether a container may look into processes of our user.
func reaches(own, pod SecurityContext) bool {
	runAs := own.RunAsUser
	if runAs == nil {
		runAs = pod.RunAsUser
	}
	traces := func(capability string) bool {
		return slices.Contains([]string{"SYS_PTRACE", "CAP_SYS_PTRACE", "ALL"}, strings.ToUpper(capability))
	}
	return runAs != nil && *runAs == user || own.Privileged || slices.ContainsFunc(own.Capabilities.Add, traces)
}
