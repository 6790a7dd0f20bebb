package inject_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// label is the set of labels with one value of InjectLabel, or without one.
func label(value string) map[string]string {
	if value == "-" {
		return nil
	}
	return map[string]string{inject.InjectLabel: value}
}

func findManaged(string, string) (nad.Network, bool) {
	return nad.Network{Managed: true, Addressed: true}, true
}

// The table of Decide's doc comment, and what is like no label.
func TestLabelsDecideByTheTable(t *testing.T) {
	for _, row := range []struct {
		namespace, pod string
		want           inject.Reason
	}{
		{"enabled", "-", inject.Injected},
		{"enabled", "enabled", inject.Injected},
		{"enabled", "disabled", inject.PodDisabled},
		{"-", "-", inject.NamespaceNotEnabled},
		{"-", "enabled", inject.Injected},
		{"-", "disabled", inject.PodDisabled},

		{"enabled", "other", inject.Injected},
		{"-", "other", inject.NamespaceNotEnabled},
		{"disabled", "-", inject.NamespaceNotEnabled},
		{"disabled", "enabled", inject.Injected},
		{"disabled", "disabled", inject.PodDisabled},
		{"disabled", "other", inject.NamespaceNotEnabled},
	} {
		t.Run(fmt.Sprintf("namespace %s, pod %s", row.namespace, row.pod), func(t *testing.T) {
			pod := inject.Pod{Metadata: inject.Metadata{
				Labels:      label(row.pod),
				Annotations: map[string]string{nad.NetworksAnnotation: "net-a"},
			}}
			ns := inject.Namespace{Name: "apps", Labels: label(row.namespace)}
			d, err := inject.Decide(t.Context(), pod, ns, inject.View{Networks: inject.NewLookup(findManaged, nil)}, inject.DefaultPolicy())
			if err != nil || d.Reason != row.want {
				t.Errorf("reason %s (%v), want %s", d.Reason, err, row.want)
			}
		})
	}
}

func TestReasonsAreAClosedSetOfSentences(t *testing.T) {
	sentences := map[string]inject.Reason{}
	for _, reason := range inject.Reasons() {
		sentence := reason.Sentence()
		if !strings.HasSuffix(sentence, ".") {
			t.Errorf("%s: %q is no sentence", reason, sentence)
		}
		if other, taken := sentences[sentence]; taken {
			t.Errorf("%s says the same as %s", reason, other)
		}
		sentences[sentence] = reason
	}
	if got := inject.Reason("unheard-of").Sentence(); got != "" {
		t.Errorf("an unknown reason says %q", got)
	}
}

// What Decide is given is shared with other requests.
func TestDecideLeavesItsPolicyAlone(t *testing.T) {
	policy := inject.DefaultPolicy()
	policy.Settings.Exclude = append(make([]string, 0, 8), policy.Settings.Exclude...)
	pod := inject.Pod{Metadata: inject.Metadata{Annotations: map[string]string{nad.NetworksAnnotation: "br,net-a"}}}
	find := func(_, name string) (nad.Network, bool) {
		return nad.Network{Managed: name != "br", Addressed: true}, true
	}
	if _, err := inject.Decide(t.Context(), pod, inject.Namespace{Labels: label(inject.Enabled)}, inject.View{Networks: inject.NewLookup(find, nil)}, policy); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lo", "eth0", "", ""}, policy.Settings.Exclude[:4]); diff != "" {
		t.Errorf("excluded interfaces (-want +got):\n%s", diff)
	}
}

func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/injection.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, reason := range inject.Reasons() {
		want = append(want, fmt.Sprintf("| %#q | %s | %s |\n", reason, reason.Outcome(), reason.Sentence()))
	}
	_, table, _ := strings.Cut(string(page), "| reason | decision | what it says |\n|---|---|---|\n")
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table of docs/injection.md (-want +got):\n%s", diff)
	}
}
