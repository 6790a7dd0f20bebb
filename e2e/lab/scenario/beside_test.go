//go:build lab

package scenario_test

import "testing"

// TestSideBySide plays the scenarios of which none disturbs another, the long
// ones first. One is chosen by its name: -run SideBySide/Keepalived.
func TestSideBySide(t *testing.T) {
	for _, scenario := range []struct {
		name string
		play func(*testing.T)
	}{
		{"KeepalivedMovesItsAddressAndEC2Follows", keepalivedMovesItsAddressAndEC2Follows},
		{"PodsMeetWithoutHelp", podsMeetWithoutHelp},
		{"ASidecarNeverHoldsUpItsPod", aSidecarNeverHoldsUpItsPod},
		{"WithoutMetadataPodsFindTheirWorkersByEC2", withoutMetadataPodsFindTheirWorkersByEC2},
		{"PodsMeetByEveryENIOfTheirWorkers", podsMeetByEveryENIOfTheirWorkers},
		{"PodsWithTheirDefaultRouteOnNet1ReachEC2AndOtherSubnets", podsWithTheirDefaultRouteOnNet1ReachEC2AndOtherSubnets},
		{"ARefusedPodSaysWhyAndWhatToDo", aRefusedPodSaysWhyAndWhatToDo},
		{"AWorkerThatTookAPodsAddressIsNamedAndAReservationPreventsIt", aWorkerThatTookAPodsAddressIsNamedAndAReservationPreventsIt},
		{"PodsOnDifferentWorkersMeetOnceTheirAddressesAreAssigned", podsOnDifferentWorkersMeetOnceTheirAddressesAreAssigned},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			t.Parallel()
			scenario.play(t)
		})
	}
}
