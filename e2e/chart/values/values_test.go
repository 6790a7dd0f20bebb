package values_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/chart/values"
)

const sample = `# About the file.

# A section.
section:
  # How many.
  # @schema {"minimum": 1}
  count: 2
  # Names | more.
  names: [a]
# Whether.
on: true
`

func parse(t *testing.T, text string) []values.Value {
	t.Helper()
	list, err := values.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSchemaFollowsDefaultsAndComments(t *testing.T) {
	data, err := values.Schema(parse(t, sample))
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	const expected = `{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
	"properties": {
		"global": {"type": "object"},
		"on": {"type": "boolean", "default": true, "description": "Whether."},
		"section": {"type": "object", "additionalProperties": false, "description": "A section.", "properties": {
			"count": {"type": "integer", "default": 2, "minimum": 1, "description": "How many."},
			"names": {"type": "array", "default": ["a"], "description": "Names | more."}}}}}`
	if err := json.Unmarshal([]byte(expected), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}
}

func TestTableReplacesTheOldOne(t *testing.T) {
	const head, foot = "# Page\n<!-- values: made of values.yaml by make generate -->\n", "<!-- end of values -->\nmore\n"
	got, err := values.Insert([]byte(head+"old\n"+foot), parse(t, sample))
	if err != nil {
		t.Fatal(err)
	}
	want := head + "\n| value | default | meaning |\n|---|---|---|\n" +
		"| `section.count` | `2` | How many. |\n| `section.names` | `[\"a\"]` | Names \\| more. |\n| `on` | `true` | Whether. |\n\n" + foot
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestMistakesNameTheValue(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a value has no comment":          {"a:\n  b: 1\n", "a: a.b: it has no comment"},
		"the schema is no JSON":           {"# A.\n# @schema {\na: 1\n", "a: @schema: "},
		"the file is not a mapping":       {"- 1\n", "not a mapping"},
		"the file is no YAML":             {"{", "yaml"},
		"the comment is only about types": {"# @schema {}\na: 1\n", "a: it has no comment"},
	} {
		if _, err := values.Parse([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
	if _, err := values.Insert([]byte("# Page\n"), nil); err == nil {
		t.Error("a page without a place for the table is accepted")
	}
}
