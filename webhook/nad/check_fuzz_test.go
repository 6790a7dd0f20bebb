package nad_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// FuzzCheck looks for NADs that break the checker, or whose report contradicts
// itself.
func FuzzCheck(f *testing.F) {
	for _, cases := range [][]planCase{whereaboutsCases, hostLocalCases, otherCases} {
		for _, c := range cases {
			f.Add(c.config)
		}
	}
	f.Add(with(`"range":"::ffff:10.10.1.0/120"`))
	f.Add(with(`"range":"0.0.0.0/0","exclude":["::/0"],"gateway":"::1"`))
	f.Add(local(`"subnet":"::/0"`))
	f.Add(local(`"ranges":[null,[{"subnet":"10.0.0.0/8","gateway":"::1"}]]`))
	f.Fuzz(func(t *testing.T, config string) {
		d := nad.Definition{Namespace: "ns", Name: "net", Config: config}
		other := nad.Definition{Namespace: "ns", Name: "other", Config: with(`"range":"10.10.1.0/24"`)}
		report := checked(t, nad.NewChecker(vpc, nad.NewIndex(nad.Read(d), nad.Read(other))), d)
		for _, r := range report.Ranges {
			if r.End.Less(r.Start) || r.Start.BitLen() != r.End.BitLen() {
				t.Errorf("%q: range %v-%v", config, r.Start, r.End)
			}
		}
		for _, finding := range report.Findings {
			if !slices.Contains(nad.Rules(), finding.Rule) || finding.Object != "ns/net" || finding.Message == "" {
				t.Errorf("%q: %+v", config, finding)
			}
			if !strings.HasPrefix(finding.Field, "spec.config") {
				t.Errorf("%q: field %q", config, finding.Field)
			}
			if strings.Contains(finding.Message, "invalid Prefix") || strings.Contains(finding.Message, "invalid IP") || strings.Contains(finding.Message, "%!") {
				t.Errorf("%q: message %q", config, finding.Message)
			}
		}
	})
}

func TestEveryRuleIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	rest := string(text)
	for _, rule := range nad.Rules() {
		row := "| `" + string(rule) + "` | " + string(rule.Severity()) + " |"
		_, after, found := strings.Cut(rest, row)
		if !found {
			t.Fatalf("docs/rules.md lacks %q, or has it in another place than nad.Rules", row)
		}
		rest = after
	}
}
