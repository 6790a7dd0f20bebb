package nad_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// repeat joins n texts, each made of its index.
func repeat(n int, separator string, text func(i int) string) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = text(i)
	}
	return strings.Join(texts, separator)
}

// v4 is the i-th address after 10.0.0.0, in steps of two.
func v4(i int) string { i *= 2; return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }

func excluding(n int) string {
	return with(`"range":"10.0.0.0/8","exclude":[` + repeat(n, ",", func(i int) string { return fmt.Sprintf("%q", v4(i)+"/32") }) + `]`)
}

func ipRanges(n int) string {
	return with(`"ipRanges":[` + repeat(n, ",", func(i int) string { return fmt.Sprintf(`{"range":"10.%d.%d.0/28"}`, i>>8, i&255) }) + `]`)
}

func hostLocalSets(n int) string {
	return local(`"ranges":[` + repeat(n, ",", func(i int) string { return fmt.Sprintf(`[{"subnet":"10.%d.%d.0/28"}]`, i>>8, i&255) }) + `]`)
}

func staticAddresses(n int) string {
	return ipvlan(`{"type":"static","addresses":[` + repeat(n, ",", func(i int) string { return fmt.Sprintf(`{"address":"%s/8"}`, v4(i)) }) + `]}`)
}

func pluginList(n int) string {
	return `{"cniVersion":"1.0.0","plugins":[` + repeat(n, ",", func(int) string { return `{"type":"ipvlan"}` }) + `]}`
}

func TestNADsAreReadUpToTheirBounds(t *testing.T) {
	padded := func(n int) string {
		config := with(`"range":"10.0.0.0/24"`)
		return config + strings.Repeat(" ", n-len(config))
	}
	for _, c := range []struct {
		name   string
		config func(n int) string
		most   int
		field  string
	}{
		{"bytes of spec.config", padded, nad.MaxConfig, "spec.config"},
		{"plugins", pluginList, nad.MaxPlugins, "spec.config"},
		{"exclusions of whereabouts", excluding, nad.MaxExclusions, "spec.config.ipam.exclude"},
		{"ranges of whereabouts", ipRanges, nad.MaxRanges, "spec.config.ipam.ipRanges"},
		{"addresses of whereabouts", func(n int) string {
			return with(`"addresses":[` + repeat(n, ",", func(i int) string { return fmt.Sprintf(`{"address":"%s/8"}`, v4(i)) }) + `]`)
		}, nad.MaxAddresses, "spec.config.ipam.addresses"},
		{"ranges of host-local", hostLocalSets, nad.MaxRanges, "spec.config.ipam.ranges"},
		{"addresses of static", staticAddresses, nad.MaxAddresses, "spec.config.ipam.addresses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := func(n int) (nad.Network, []string) {
				network := nad.Read(nad.Definition{Namespace: "ns", Name: "net", Config: c.config(n)})
				var large []string
				for _, f := range network.Findings {
					if f.Rule == nad.TooLarge {
						large = append(large, f.Field)
					}
				}
				return network, large
			}
			if _, large := read(c.most); large != nil {
				t.Errorf("%d are too many, want them read", c.most)
			}
			network, large := read(c.most + 1)
			if diff := cmp.Diff([]string{c.field}, large); diff != "" {
				t.Errorf("fields that are too large (-want +got):\n%s", diff)
			}
			if network.Readable() || len(network.Ranges()) > 0 || !network.Managed || !network.Addressed && c.name != "plugins" {
				t.Errorf("network %+v, want it managed, with an address, and nothing known of it", network)
			}
		})
	}
}

func TestAllPluginsOfANADShareItsBounds(t *testing.T) {
	half := nad.MaxExclusions/2 + 1
	list := fmt.Sprintf(`{"cniVersion":"1.0.0","plugins":[%s,%s]}`, excluding(half), excluding(half))
	network := nad.Read(nad.Definition{Config: list})
	if places := places(network.Findings); !slices.Contains(places, "too-large spec.config.plugins[1].ipam.exclude") {
		t.Errorf("findings %v", places)
	}
}

// What the attackers tried, in sizes of theirs: each is answered by few words.
func TestLargeNADsAreFewWords(t *testing.T) {
	for _, c := range []struct{ name, config string }{
		{"20,000 exclusions", excluding(20_000)},
		{"20,000 ranges of whereabouts", ipRanges(20_000)},
		{"20,000 ranges of host-local", hostLocalSets(20_000)},
		{"20,000 static addresses", staticAddresses(20_000)},
		{"60,000 plugins", pluginList(60_000)},
		{"deep nesting", strings.Repeat("[", 50_000)},
		{"deep nesting in an IPAM", with(`"range":` + strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000))},
		{"1.2 MB of nothing", with(`"range":"` + strings.Repeat("a", 1_200_000) + `"`)},
		{"exclusions that cannot be read", with(`"range":"10.0.0.0/24","exclude":[` + repeat(nad.MaxExclusions, ",", func(i int) string { return fmt.Sprintf(`"x%d"`, i) }) + `]`)},
		{"one exclusion of 100 KB", with(`"range":"10.0.0.0/24","exclude":["` + strings.Repeat("é", 50_000) + `"]`)},
		{"addresses that nothing reserves", staticAddresses(nad.MaxAddresses)},
		{"ranges that overlap", local(`"ranges":[` + repeat(nad.MaxRanges, ",", func(int) string { return `[{"subnet":"10.10.1.0/24"}]` }) + `]`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := checked(t, nad.NewChecker(vpc, nil), nad.Definition{Namespace: "ns", Name: "net", Config: c.config})
			perRule := map[nad.Rule]int{}
			for _, f := range report.Findings {
				perRule[f.Rule]++
				if len(f.Message) > 4<<10 {
					t.Errorf("%s has %d bytes", f.Rule, len(f.Message))
				}
			}
			for rule, n := range perRule {
				if n > 11 {
					t.Errorf("%d findings of %s, want 10 and how many more there are", n, rule)
				}
			}
			if !report.Failed() {
				t.Errorf("findings %v, want an error", report.Findings)
			}
		})
	}
}

func TestFindingsBeyondTheFirstOnesAreCounted(t *testing.T) {
	config := with(`"range":"10.0.0.0/24","exclude":[` + repeat(22, ",", func(i int) string { return fmt.Sprintf(`"x%d"`, i) }) + `]`)
	found := nad.Read(nad.Definition{Namespace: "ns", Name: "net", Config: config}).Findings
	last := found[len(found)-1]
	if len(found) != 11 || !strings.HasPrefix(last.Message, "and 12 more") || last.Field != "spec.config.ipam.exclude[10]" || last.Severity != nad.Error || last.Object != "ns/net" {
		t.Errorf("%d findings, the last is %+v", len(found), last)
	}
}

func TestNoWarningHidesAnError(t *testing.T) {
	// Each range has a bound that is ignored, which is a warning, and the last one is refused.
	config := with(`"ipRanges":[` + repeat(40, ",", func(i int) string {
		return fmt.Sprintf(`{"range":"10.10.1.%d/30","range_start":"10.9.9.9"}`, i*4)
	}) + `,{"range":"x"}]`)
	report := checked(t, nad.NewChecker(nil, nil), nad.Definition{Config: config})
	if !report.Failed() || !slices.ContainsFunc(report.Findings, func(f nad.Finding) bool { return f.Rule == nad.IPAMMalformed }) {
		t.Errorf("findings %v, want the error among them", report.Findings)
	}
}

func TestNetworksAnnotationsAreReadUpToTheirBounds(t *testing.T) {
	list := func(n int) string {
		return `[` + repeat(n, ",", func(i int) string { return fmt.Sprintf(`{"name":"n%d"}`, i) }) + `]`
	}
	ips := func(key string) func(int) string {
		return func(n int) string {
			return `[{"name":"n",` + fmt.Sprintf(key, repeat(n, ",", func(i int) string { return fmt.Sprintf("%q", v4(i)+"/8") })) + `}]`
		}
	}
	for _, c := range []struct {
		name string
		text func(n int) string
		most int
	}{
		{"bytes", func(n int) string { return "a" + strings.Repeat(" ", n-1) }, nad.MaxAnnotation},
		{"networks as text", func(n int) string { return repeat(n, ",", func(i int) string { return fmt.Sprintf("n%d", i) }) }, nad.MaxNetworks},
		{"networks as JSON", list, nad.MaxNetworks},
		{"ips", ips(`"ips":[%s]`), nad.MaxIPs},
		{"cni-args ips", ips(`"cni-args":{"ips":[%s]}`), nad.MaxIPs},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := nad.Selections("ns", c.text(c.most)); err != nil {
				t.Errorf("%d are refused: %v", c.most, err)
			}
			got, err := nad.Selections("ns", c.text(c.most+1))
			if err == nil || got != nil || !strings.Contains(err.Error(), fmt.Sprint(c.most)) || strings.Contains(err.Error(), "separated by commas") {
				t.Errorf("%d selections, error %v; want none, and the bound", len(got), err)
			}
		})
	}
}

func TestErrorsOfLargeAnnotationsAreShort(t *testing.T) {
	for _, text := range []string{strings.Repeat("é", 100_000), `[{"name":"` + strings.Repeat("x", 200_000) + `"}]`, `[{"name":"n","ips":["` + strings.Repeat("x", 200_000) + `"]}]`, strings.Repeat("a,", 50_000), strings.Repeat("[", 100_000), `[` + strings.Repeat(`{},`, 80_000)} {
		if _, err := nad.Selections("ns", text); err == nil || len(err.Error()) > 5<<10 {
			t.Errorf("%.20q...: the error has %d bytes", text, len(fmt.Sprint(err)))
		}
	}
}

func TestALargeNADIsAProblemThatSaysSo(t *testing.T) {
	network := nad.Read(nad.Definition{Config: strings.Repeat(" ", nad.MaxConfig+1)})
	if !errors.Is(network.Problem, nad.ErrTooLarge) {
		t.Errorf("problem %v", network.Problem)
	}
}
