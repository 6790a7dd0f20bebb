package story_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/story"
)

func TestObjectsAreShortenedToTheNamedFields(t *testing.T) {
	object := map[string]any{
		"name": "manager", "args": []string{"init"},
		"env":       []map[string]any{{"value": "a,b", "name": "A"}, {"name": "H", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "status.hostIP"}}}},
		"resources": map[string]any{}, "image": "x",
	}
	want := `name: manager
args: [init]
env:
- {name: A, value: "a,b"}
- {name: H, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
# and image, resources
`
	got, err := story.YAML(object, "name", "args", "env", "startupProbe")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("YAML (-want +got):\n%s", diff)
	}
	if _, err := story.YAML([]string{"no object"}); err == nil {
		t.Error("YAML accepted a list")
	}
}

func TestValuesSurviveTheirRendering(t *testing.T) {
	for _, value := range []any{
		"", "net1", "true", "No", "12", "1.5", "-", "-x", "a: b", "a:", "a,b", "[x]", "{y}", "# no", "$(HOST)", "http://10.10.12.2", "2600::80/124",
		"10.10.1.64/26", `quo"te`, "line\nbreak", "ü", "0x1f", "1e3", "~", "null", 7.0, true, nil, []any{}, map[string]any{}, []any{"a", []any{"b"}},
	} {
		text, err := story.YAML(map[string]any{"value": value}, "value")
		if err != nil {
			t.Fatal(err)
		}
		var read map[string]any
		if err := yaml.Unmarshal([]byte(text), &read); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(map[string]any{"value": value}, read); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
