package docs

import (
	"encoding/json"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"
)

func TestPagesLeadWhereTheySay(t *testing.T) {
	r := readRepository(t)
	for name, page := range r.pages {
		for _, l := range page.Links {
			if problem := r.follow(name, l.Text); problem != "" {
				t.Errorf("%s:%d: link %s: %s", name, l.Line, l.Text, problem)
			}
		}
	}
}

func TestEveryPageIsFoundFromTheFirst(t *testing.T) {
	r := readRepository(t)
	linked := map[string]bool{}
	for _, l := range r.pages["README.md"].Links {
		linked[l.Text] = true
	}
	for name := range r.pages {
		if strings.HasPrefix(name, "docs/") && !linked[name] {
			t.Errorf("README.md does not link %s", name)
		}
	}
}

func TestALinkThatLeadsNowhereIsFound(t *testing.T) {
	r := repository{pages: map[string]Page{"docs/a.md": Parse("# One heading\n")}}
	for target, good := range map[string]bool{
		"a.md": false, "architecture.md": true, "../README.md": true, "../nothing": false, "#one-heading": true, "#another": false,
		"https://kubernetes.io/docs": true, "http://kubernetes.io": false, "https:///x": false, "../../outside": false, "": false,
	} {
		if problem := r.follow("docs/a.md", target); (problem == "") != good {
			t.Errorf("link %q: %q", target, problem)
		}
	}
}

// follow says what is wrong with a link of a page.
func (r repository) follow(page, target string) string {
	u, err := url.Parse(target)
	switch {
	case err != nil || target == "":
		return "no link"
	case u.Scheme != "":
		if u.Scheme != "https" || u.Host == "" || !strings.Contains(u.Host, ".") {
			return "external links are https://HOST/..."
		}
		return ""
	}
	to := page
	if u.Path != "" {
		to = path.Join(path.Dir(page), u.Path)
		if strings.HasPrefix(to, "..") || !exists(to) {
			return "there is no such file in the repository"
		}
	}
	if u.Fragment != "" && !r.pages[to].Anchors[u.Fragment] {
		return "there is no such heading"
	}
	return ""
}

func TestPagesNameWhatThereIs(t *testing.T) {
	r := readRepository(t)
	for name, page := range r.pages {
		for _, code := range page.Codes {
			for _, problem := range r.judgeCode(code.Text) {
				t.Errorf("%s:%d: `%s`: %s", name, code.Line, code.Text, problem)
			}
		}
	}
}

var (
	repositoryPath = regexp.MustCompile(`^(config|charts|docs|e2e|cmd)/[A-Za-z0-9_./-]+$`)
	setting        = regexp.MustCompile(`\bIPMGR_[A-Z0-9_]*[A-Z0-9]`)
	chartValue     = regexp.MustCompile(`^(images|injection|webhook|certificate|controller|networkPolicy|metrics)(\.[A-Za-z]+)+(=.*)?$`)
	goCode         = regexp.MustCompile(`\.(go|Run|Start|Prepare)$`)
	commandLine    = regexp.MustCompile(`^(make|go|helm|kubectl ipmgr|kubectl-ipmgr|webhook|controller) [^ ]`)
)

// judgeCode says what is wrong with code within a line.
func (r repository) judgeCode(text string) []string {
	var problems []string
	if repositoryPath.MatchString(text) && !strings.HasSuffix(text, "/...") && !exists(text) {
		problems = append(problems, "there is no such file")
	}
	for _, name := range setting.FindAllString(text, -1) {
		if !strings.Contains(r.settings, name) && !strings.HasSuffix(text, "_*") {
			problems = append(problems, "ipmgr has no setting "+name)
		}
	}
	if name, _, _ := strings.Cut(text, "="); chartValue.MatchString(text) && !goCode.MatchString(text) && !r.hasValue(name) {
		problems = append(problems, "the chart has no such value")
	}
	if commandLine.MatchString(text) {
		problems = append(problems, r.judgeScript(text)...)
	}
	return problems
}

func TestExamplesAreOfThisRepository(t *testing.T) {
	r := readRepository(t)
	for name, page := range r.pages {
		for _, fence := range page.Fences {
			for _, problem := range r.judgeFence(fence) {
				t.Errorf("%s:%d: %s", name, fence.Line, problem)
			}
		}
	}
}

func (r repository) judgeFence(fence Fence) []string {
	switch fence.Language {
	case "sh", "bash":
		return r.judgeScript(fence.Text)
	case "console":
		var script strings.Builder
		for _, step := range transcript(fence.Text) {
			script.WriteString(step.command + "\n")
		}
		return r.judgeScript(script.String())
	case "json":
		var value any
		if err := json.Unmarshal([]byte(fence.Text), &value); err != nil {
			return []string{err.Error()}
		}
	case "yaml":
		decoder := yamlv3.NewDecoder(strings.NewReader(fence.Text))
		for {
			var value any
			if err := decoder.Decode(&value); err != nil {
				if err.Error() == "EOF" {
					return nil
				}
				return []string{err.Error()}
			}
		}
	case "mermaid":
		// To Mermaid they end a message, and GitHub shows an error in its place.
		if strings.HasPrefix(fence.Text, "sequenceDiagram") && strings.ContainsAny(fence.Text, ";#") {
			return []string{"a message of a sequence diagram has no ; and no #"}
		}
	case "", "go", "text", "promql":
	default:
		return []string{"a block of " + fence.Language + " is not checked: add it to the test, or call it text"}
	}
	return nil
}
