package docs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A target that nobody plays holds nothing: each one is a step of .ci/run, or
// says there why not. One that cannot be played there has a job in a workflow.
func TestContinuousIntegrationPlaysEveryTargetOfMake(t *testing.T) {
	script := read(t, ".ci/run")
	played, excused := steps(script)
	rules := makeRules(read(t, "Makefile"))
	reached := map[string]bool{}
	for target := range played {
		if _, ok := rules[target]; !ok {
			t.Errorf(".ci/run plays %s, which the Makefile has not", target)
		}
		reach(rules, target, reached)
	}
	workflows := workflowCommands(t, "ci.yml")
	for target := range rules {
		switch {
		case reached[target] && excused[target] != "":
			t.Errorf(".ci/run plays %s and says why not: %s", target, excused[target])
		case !reached[target] && excused[target] == "":
			t.Errorf(`.ci/run does not play "make %s": give it a step, or the reason why not`, target)
		case !reached[target] && !strings.Contains(workflows, "make "+target):
			t.Errorf("neither .ci/run nor ci.yml plays make %s", target)
		}
	}
	for target := range excused {
		if _, ok := rules[target]; !ok {
			t.Errorf(".ci/run says why it does not play %s, which the Makefile has not", target)
		}
	}
}

// The workflows add machines, not steps: what they call is there.
func TestWorkflowsCallWhatIsThere(t *testing.T) {
	rules := makeRules(read(t, "Makefile"))
	for _, name := range []string{"ci.yml", "release.yml"} {
		text := workflowCommands(t, name)
		for _, called := range regexp.MustCompile(`(?m)\bmake ([a-z-]+)`).FindAllStringSubmatch(text, -1) {
			if _, ok := rules[called[1]]; !ok {
				t.Errorf("%s calls make %s, which the Makefile has not", name, called[1])
			}
		}
	}
}

// The jobs of the workflow share the steps of .ci/run among them.
func TestEachStepHasOneParallelJob(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct {
			Strategy struct {
				Matrix struct {
					Include []struct{ Name, Steps string }
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/workflows/ci.yml")), &workflow); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(workflowCommands(t, "ci.yml"), ".ci/run ${{ matrix.steps }}\n") {
		t.Error("ci.yml does not call .ci/run with the steps of each job")
	}
	var got, want []string
	for _, job := range workflow.Jobs["run"].Strategy.Matrix.Include {
		got = append(got, strings.Fields(job.Steps)...)
	}
	for _, words := range Commands(read(t, ".ci/run")) {
		if len(words) > 2 && words[0] == "step" {
			want = append(want, words[1])
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the jobs of ci.yml play\n%q\nwant each step of .ci/run once\n%q", got, want)
	}
}

// steps reads the targets that a script plays, and those of which it says why not.
func steps(script string) (played map[string]bool, excused map[string]string) {
	played, excused = map[string]bool{}, map[string]string{}
	for _, words := range Commands(script) {
		switch {
		case len(words) > 3 && words[0] == "step" && words[2] == "make":
			played[words[3]] = true
		case len(words) == 3 && words[0] == "without":
			excused[words[1]] = words[2]
		}
	}
	return played, excused
}

var (
	ruleLine = regexp.MustCompile(`^([a-z-]+):([^#]*)`)
	variable = regexp.MustCompile(`^ *[A-Z_]+ *[+:?]?=`) // of one target
	makeCall = regexp.MustCompile(`\$\(MAKE\) ([a-z-]+)`)
)

// makeRules reads what each target of a Makefile needs and calls.
func makeRules(makefile string) map[string][]string {
	rules := map[string][]string{}
	var target string
	for line := range strings.Lines(makefile) {
		line = strings.TrimSuffix(line, "\n")
		if rule := ruleLine.FindStringSubmatch(line); len(rule) > 2 && !variable.MatchString(rule[2]) {
			target = rule[1]
			rules[target] = append(rules[target], strings.Fields(rule[2])...)
			continue
		}
		if strings.HasPrefix(line, "\t") {
			for _, call := range makeCall.FindAllStringSubmatch(line, -1) {
				rules[target] = append(rules[target], call[1])
			}
		}
	}
	return rules
}

// reach marks a target, and all that it needs and calls.
func reach(rules map[string][]string, target string, reached map[string]bool) {
	if reached[target] {
		return
	}
	reached[target] = true
	for _, next := range rules[target] {
		reach(rules, next, reached)
	}
}

// workflowCommands returns the scripts of a workflow.
func workflowCommands(t *testing.T, name string) string {
	t.Helper()
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Run string `json:"run"`
			} `json:"steps"`
		} `json:"jobs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/workflows/"+name)), &workflow); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, job := range slices.Sorted(maps.Keys(workflow.Jobs)) {
		for _, step := range workflow.Jobs[job].Steps {
			text.WriteString(step.Run + "\n")
		}
	}
	return text.String()
}

func TestStepsAndRulesAreRead(t *testing.T) {
	played, excused := steps("step a make b # c\nstep d make e F=1\nwithout g \"its reason\"\n# step h make i\n")
	if !maps.Equal(played, map[string]bool{"b": true, "e": true}) || !maps.Equal(excused, map[string]string{"g": "its reason"}) {
		t.Errorf("played %v, excused %v", played, excused)
	}
	rules := makeRules("X := y\n.PHONY: a\na: b c ## Words: d.\n\t@before; $(MAKE) e\na: X += y\nb: $(X:%=b/%) ## Words.\n\tb\n")
	if got := rules["a"]; !slices.Equal(got, []string{"b", "c", "e"}) || len(rules["b"]) != 1 {
		t.Errorf("rules %v", rules)
	}
}
