package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// Names are the interfaces that the settings name.
type Names struct {
	Required []string
	Excluded []string
}

// maxShift is how many default networks Multus may have put before the pod's
// own. What lies beyond is another program's interface.
const maxShift = 16

// number is n of netN, the name that Multus gives the Nth network of a pod when
// the pod asks for no other, and 0 of any other name.
func number(name string) int {
	text, ok := strings.CutPrefix(name, "net")
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 1 || strconv.Itoa(n) != text {
		return 0
	}
	return n
}

func highest(names []string, limit int) int {
	top := 0
	for _, name := range names {
		if n := number(name); n <= limit {
			top = max(top, n)
		}
	}
	return top
}

// shift is by how many the interfaces of the pod go beyond those that are named.
func (n Names) shift(present []string) int {
	const anywhere = 1 << 20
	named := highest(slices.Concat(n.Required, n.Excluded), anywhere)
	if named == 0 {
		return 0
	}
	return max(0, highest(present, named+maxShift)-named)
}

// MayLie reports whether the names may be those of other interfaces: there are
// more networks than are named, as when Multus has default networks, which the
// webhook cannot know. Networks that were asked for by a name keep it.
func (n Names) MayLie(present []string) bool { return n.shift(present) > 0 }

// Certain returns the excluded interfaces whose names cannot lie.
func (n Names) Certain() []string {
	return slices.DeleteFunc(slices.Clone(n.Excluded), func(name string) bool { return number(name) > 0 })
}

// Resolve finds out which interfaces are meant, given where the addresses of
// all of them belong. Required are those on a Multus ENI of the worker, excluded
// are those that are not: the names hold as they are, or moved by the number of
// default networks, whichever fits better. When both fit, what either requires
// is required.
func (n Names) Resolve(present []string, placements []Placement) Names {
	by := n.shift(present)
	if by == 0 {
		return n
	}
	onENI := map[string]bool{}
	for _, p := range placements {
		if p.ENI.ID != "" && p.ENI.DeviceIndex > 0 && fault.CodeOf(p.Refused) != fault.CodeOutsideSubnet {
			onENI[p.Address.Interface] = true
		}
	}
	moved := Names{Required: renumber(n.Required, by), Excluded: renumber(n.Excluded, by)}
	switch here, there := n.countFitting(onENI), moved.countFitting(onENI); {
	case here > there:
		return n
	case here == there:
		moved.Required = slices.Compact(slices.Sorted(slices.Values(slices.Concat(n.Required, moved.Required))))
	}
	return moved
}

// renumber adds to the numbers of the names that Multus gives.
func renumber(names []string, by int) []string {
	moved := slices.Clone(names)
	for i, name := range moved {
		if n := number(name); n > 0 {
			moved[i] = fmt.Sprintf("net%d", n+by)
		}
	}
	return moved
}

// countFitting counts the interfaces that are what their place in the settings
// says.
func (n Names) countFitting(onENI map[string]bool) int {
	count := 0
	for _, name := range n.Required {
		if onENI[name] {
			count++
		}
	}
	for _, name := range n.Excluded {
		if number(name) > 0 && !onENI[name] {
			count++
		}
	}
	return count
}
