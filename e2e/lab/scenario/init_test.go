//go:build lab

package scenario_test

import "testing"

func TestPodsOfAllIPAMsMeetWithoutAnyHelp(t *testing.T) {
	optedIn(t, "init")
	apply(t, "init", "init.yaml", "NAME", "whereabouts")
	pods := readyPods(t, "init", "app=whereabouts", 2)
	for i, pod := range pods {
		other := pods[1-i]
		for _, addr := range other.Networks["net1"] {
			if !ping(t, pod.Address, addr) {
				t.Errorf("%s gets no echo from %s of %s, which is routed to %q; drops: %+v", pod.Name, addr, other.Name, owner(addr), bed.Sim().DataPlane().Status().Drops)
			}
		}
	}
}
