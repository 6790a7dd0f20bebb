package nad_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// largest are configurations that pass all bounds and leave as much in memory
// as they can. Those of different i have no range in common.
func largest() map[string]func(i int) string {
	excluded := func(n int, address func(j int) string) string {
		return `"exclude":[` + repeat(n, ",", func(j int) string { return `"` + address(j) + `"` }) + `]`
	}
	v6 := func(i, j int) string { return fmt.Sprintf("fd00:%x::%x:1", i, j) }
	shared := nad.MaxExclusions / nad.MaxRanges
	return map[string]func(i int) string{
		"exclusions": func(i int) string {
			return with(fmt.Sprintf(`"range":"fd00:%x::/64",`, i) + excluded(nad.MaxExclusions, func(j int) string { return v6(i, j) }))
		},
		"ranges with exclusions": func(i int) string {
			return with(`"ipRanges":[` + repeat(nad.MaxRanges, ",", func(r int) string {
				return fmt.Sprintf(`{"range":"fd00:%x:%x::/64",%s}`, i, r, excluded(shared, func(j int) string { return fmt.Sprintf("fd00:%x:%x::%x:1", i, r, j) }))
			}) + `]`)
		},
		"plugins": func(i int) string {
			return `{"cniVersion":"1.0.0","plugins":[` + repeat(nad.MaxPlugins, ",", func(p int) string {
				return with(`"ipRanges":[` + repeat(nad.MaxRanges/nad.MaxPlugins, ",", func(r int) string {
					return fmt.Sprintf(`{"range":"fd00:%x:%x:%x::/64",%s}`, i, p, r, excluded(shared, func(j int) string { return fmt.Sprintf("fd00:%x:%x:%x::%x:1", i, p, r, j) }))
				}) + `]`)
			}) + `]}`
		},
		"long names of whereabouts": func(i int) string {
			return with(fmt.Sprintf(`"range":"fd00:%x::/64","network_name":%q`, i, strings.Repeat("x", nad.MaxConfig-500)))
		},
		"findings": func(i int) string {
			return with(fmt.Sprintf(`"range":"fd00:%x::/64",`, i) + repeat(60, ",", func(j int) string { return fmt.Sprintf(`"%s%d":1`, strings.Repeat("x", 2000), j) }))
		},
		"a long problem": func(int) string {
			return `{"name":"` + strings.Repeat("!", nad.MaxConfig-100) + `","type":"ipvlan"}`
		},
		"long texts": func(i int) string {
			return `{"cniVersion":"1.0.0","plugins":[` + repeat(nad.MaxPlugins, ",", func(p int) string {
				long := strings.Repeat("x", nad.MaxConfig/nad.MaxPlugins/4-100)
				return fmt.Sprintf(`{"type":"ipvlan","mode":%[1]q,"ipam":{"type":%[1]q,"network_name":%[1]q,"range":"fd00:%[2]x::/64"}}`, fmt.Sprint(long, p), i)
			}) + `]}`
		},
	}
}

// retained is how many bytes of memory one of n networks needs, as a cache and
// the index keep them.
func retained(n int, config func(i int) string) (cache, index int) {
	heap := func() int {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc)
	}
	networks, x := make([]nad.Network, n), nad.NewIndex()
	before := heap()
	for i := range networks {
		networks[i] = nad.Read(nad.Definition{Namespace: "ns", Name: fmt.Sprint("net", i), Config: config(i)}).Kept()
	}
	cached := heap()
	for _, network := range networks {
		x.Put(network)
	}
	indexed := heap()
	runtime.KeepAlive(networks)
	runtime.KeepAlive(x)
	return (cached - before) / n, (indexed - cached) / n
}

// BenchmarkRetained reports the memory that the largest NADs need.
//
//	go test ./webhook/nad -run '^$' -bench Retained -benchtime 1x
func BenchmarkRetained(b *testing.B) {
	for name, config := range largest() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() { // it is measured below: the loop forgets what was reported before
			}
			cache, index := retained(200, config)
			b.ReportMetric(float64(cache), "cache-B/NAD")
			b.ReportMetric(float64(index), "index-B/NAD")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A thousand of the largest NADs have to fit into the webhook's 128 MiB, and
// leave room for the rest.
func TestWhatIsKeptOfTheLargestNADsIsBounded(t *testing.T) {
	for name, config := range largest() {
		t.Run(name, func(t *testing.T) {
			if cache, index := retained(20, config); cache+index > 80_000 {
				t.Errorf("%d bytes in the cache and %d in the index for each, want at most 80,000", cache, index)
			}
			if kept := nad.Read(nad.Definition{Namespace: "ns", Name: "net", Config: config(0)}).Kept(); len(kept.Findings) > 0 {
				t.Errorf("%d findings are kept", len(kept.Findings))
			}
		})
	}
}

// Of a NAD with more ranges than are kept, the smallest gaps count as handed
// out: no address that it may give to a pod is missed.
func TestOfANADWithManyGapsNoAddressIsMissed(t *testing.T) {
	excludes := func(n int, more string) string {
		return with(`"range":"10.0.0.0/8","exclude":[` + repeat(n, ",", func(i int) string { return `"` + v4(i) + `/32"` }) + more + `]`)
	}
	other := func(n int, more string) nad.Network {
		return nad.Read(nad.Definition{Namespace: "victim", Name: "net", Config: excludes(n, more)}).Kept()
	}
	exact, coarse := nad.NewIndex(other(255, "")), nad.NewIndex(other(nad.MaxExclusions-1, `,"10.64.0.0/10"`))
	for _, c := range []struct {
		name  string
		index *nad.Index
		asked string
		want  bool
	}{
		{"few gaps: an excluded address", exact, v4(200), false},
		{"few gaps: one between two of them", exact, "10.0.1.141", true},
		{"many gaps: in the large one", coarse, "10.65.0.1", false},
		{"many gaps: before the range", coarse, "9.255.255.255", false},
		{"many gaps: behind it", coarse, "11.0.0.0", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if rules := rulesOf(t, nad.NewChecker(nil, c.index), netip.MustParseAddr(c.asked)); slices.Contains(rules, nad.ForeignRange) != c.want {
				t.Errorf("%s: rules %v, and that it is handed out is %t", c.asked, rules, c.want)
			}
		})
	}
	checker := nad.NewChecker(nil, coarse)
	exactly := nad.Read(nad.Definition{Config: excludes(nad.MaxExclusions-1, `,"10.64.0.0/10"`)})
	for _, r := range exactly.Ranges() {
		for _, asked := range []netip.Addr{r.First, r.Last} {
			if rules := rulesOf(t, checker, asked); !slices.Contains(rules, nad.ForeignRange) {
				t.Fatalf("%s: rules %v, though it is handed out", asked, rules)
			}
		}
	}
}
