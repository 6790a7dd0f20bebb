package nad_test

import (
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

func TestNearestIsWhatWasProbablyMeant(t *testing.T) {
	known := []string{"inject", "injected", "mode", "validate", "managed", "exclude-addresses", "ipvlan", "ipam", "whereabouts"}
	for _, c := range []struct{ word, want string }{
		{"injct", "inject"},
		{"Inject", "inject"},
		{"ijnect", "inject"}, // swapped
		{"injects", "inject"},
		{"injetced", "injected"},
		{"mod", "mode"},
		{"excludeAddresses", "exclude-addresses"},
		{"exclude_address", "exclude-addresses"},
		{"impa", "ipam"},
		{"ipvaln", "ipvlan"},
		{"wherabouts", "whereabouts"},
		{"team", ""},
		{"", ""},
		{"x", ""},
		{strings.Repeat("inject", 100), ""},
		{"inj\xffct", ""},
	} {
		if got := nad.Nearest(c.word, known); got != c.want {
			t.Errorf("%q: %q, want %q", c.word, got, c.want)
		}
	}
}
