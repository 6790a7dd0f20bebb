package ledger

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Pod is a pod of the demos and who answers it.
type Pod struct {
	Name   string
	Worker string
	ENI    string // the one of its worker that its network is on
	Addr   netip.Addr
	Heard  []netip.Addr // other pods' addresses that answer
}

// PodHeader is that of PodRows.
func PodHeader() []string { return []string{"POD", "WORKER", "net1", "ANSWERS FROM"} }

// PodRows lists pods and whom they hear.
func PodRows(pods []*Pod) [][]string {
	var rows [][]string
	for _, p := range pods {
		rows = append(rows, []string{p.Name, p.Worker, p.Addr.String(), Words(p.Heard)})
	}
	return rows
}

// Words lists addresses, or says that there is nobody.
func Words(addrs []netip.Addr) string {
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	if len(texts) == 0 {
		return "nobody"
	}
	return strings.Join(texts, "  ")
}

// OnlyOnOneWorker verifies that each pod hears those on its own worker and no
// others, and that there are both.
func OnlyOnOneWorker(pods []*Pod) error {
	near, far := 0, 0
	for _, p := range pods {
		for _, other := range pods {
			if p == other {
				continue
			}
			same := p.Worker == other.Worker
			if same {
				near++
			} else {
				far++
			}
			if slices.Contains(p.Heard, other.Addr) != same {
				return fmt.Errorf("pod %s on %s hears %s; %s is on %s", p.Name, p.Worker, Words(p.Heard), other.Addr, other.Worker)
			}
		}
	}
	if near == 0 || far == 0 {
		return fmt.Errorf("of %d pods, none share a worker, or all do", len(pods))
	}
	return nil
}

// Everywhere verifies that each pod hears all others, and that the ENI of its
// worker holds its address.
func Everywhere(pods []*Pod, held Holders) error {
	for _, p := range pods {
		if len(p.Heard) != len(pods)-1 {
			return fmt.Errorf("pod %s on %s hears %s, want %d others", p.Name, p.Worker, Words(p.Heard), len(pods)-1)
		}
		if held[p.Addr] != p.ENI {
			return fmt.Errorf("%s of pod %s on %s is held by %q", p.Addr, p.Name, p.Worker, held[p.Addr])
		}
	}
	return nil
}
