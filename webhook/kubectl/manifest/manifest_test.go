package manifest_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl/manifest"
)

func read(t *testing.T, text string) []manifest.Document {
	t.Helper()
	documents, err := manifest.Read("file", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return documents
}

func TestWhatIsReadIsWrittenBack(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"one document", "# a comment\nkind: A # too\nb:   'x'\n", "# a comment\nkind: A # too\nb:   'x'\n"},
		{"separators", "---\na: 1\n---\n\n---\nb: 2\n--- # c\n", "a: 1\n---\nb: 2\n"},
		{"only comments", "# licence\n---\na: 1\n", "# licence\n---\na: 1\n"},
		{"a JSON object", `{"a": 1, "b":[ ]}`, `{"a": 1, "b":[ ]}` + "\n"},
		{"JSON objects one after another", `{"a":1}{"b":2}` + "\n" + `{"c":3}`, "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n"},
		{"a YAML map in braces", "{a: 1}", "{a: 1}\n"},
		{"JSON objects between separators", "{\"a\":1}\n---\n{\"b\":2}\n", "{\"a\":1}\n---\n{\"b\":2}\n"},
		{"a JSON object and a comment", "{\"a\":1}\n# c\n", "{\"a\":1}\n# c\n"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := manifest.Write(&out, read(t, c.text)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, out.String()); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMistakesNameTheirDocument(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no YAML", "a: 1\n---\nb: [", "file, document 2: "},
		{"no JSON after an object", `{"a":1}{"b":`, "file, document 2: "},
		{"text after an object", `{"a":1}{"b":2} and so on`, "file, document 3: "},
		{"a number after an object", `{"a":1} 2`, "file, document 2: is not a JSON object"},
		{"a bad separator", "a: 1\n---x\n", "file, document 1: invalid Yaml document separator"},
		{"a list is not an object", "- a\n", "file: is not a Kubernetes object"},
		{"text is not an object", "hello\n", "file: is not a Kubernetes object"},
		{"no kind", "apiVersion: v1\n", "file: is not a Kubernetes object: apiVersion or kind is missing"},
		{"a broken item", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n- kind: Pod\n", "file: /items/1: is not a Kubernetes object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			documents, err := manifest.Read("file", []byte(c.text))
			for _, d := range documents {
				if err == nil {
					_, err = d.Objects()
				}
			}
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestObjectsAndTheirTemplatesAreFound(t *testing.T) {
	const text = `
# nothing
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: ns}}
---
{apiVersion: v1, kind: Pod, metadata: {generateName: b-}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: c}, spec: {template: {metadata: {}}}}
- {apiVersion: v1, kind: PodList, items: [{apiVersion: v1, kind: Pod, metadata: {name: d}}]}
- {apiVersion: batch/v1, kind: CronJob, metadata: {name: e}, spec: {jobTemplate: {spec: {template: {}}}}}
- {apiVersion: batch/v1, kind: Job, metadata: {name: f}, spec: {}}
- {apiVersion: apps.example.org/v1, kind: Deployment, metadata: {name: g}, spec: {template: {}}}
- {apiVersion: v1, kind: Service, metadata: {name: h}}
- {apiVersion: v1, kind: PodTemplate, metadata: {name: i}, template: {}}
`
	want := []string{
		"Pod ns/a: at pod ",
		"Pod /b-*: at pod ",
		"Deployment /c: at /items/0/spec/template pod spec.template.",
		"Pod /d: at /items/1/items/0 pod ",
		"CronJob /e: at /items/2/spec/jobTemplate/spec/template pod spec.jobTemplate.spec.template.",
		"Job /f: none", "Deployment /g: none", "Service /h: none",
		"PodTemplate /i: at /items/6/template pod template.",
	}
	var got []string
	for _, d := range read(t, text) {
		objects, err := d.Objects()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			line := o.Kind + " " + o.Namespace + "/" + o.Name + ": none"
			if template, ok := o.Template(); ok {
				line = strings.TrimSuffix(line, "none") + "at " + strings.TrimLeft(template.Pointer+" ", " ") + "pod " + template.Field
			}
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

const addFirst = `[{"op":"add","path":"/metadata/annotations/example.org~1a","value":"yes"},{"op":"add","path":"/spec/initContainers/0","value":{"name":"first","args":["init"],"ready":"true"}}]`

func TestPatchesKeepTheRest(t *testing.T) {
	for _, c := range []struct{ name, text, patch, want string }{
		{"comments, order and quotes of YAML", `# the pod
metadata:
  # of metadata
  name: 'a'   # with a name
  annotations: {}
spec:
  initContainers:
    - name: later # ours
  z: 1
  a: "2"
`, addFirst, `# the pod
metadata:
  # of metadata
  name: 'a' # with a name
  annotations:
    example.org/a: "yes"
spec:
  initContainers:
    - name: first
      args:
        - init
      ready: "true"
    - name: later # ours
  z: 1
  a: "2"
`},
		{"lists that are not indented", "metadata:\n  annotations:\n    b: c\nspec:\n  initContainers:\n  - name: later\n", addFirst,
			"metadata:\n  annotations:\n    b: c\n    example.org/a: \"yes\"\nspec:\n  initContainers:\n  - name: first\n    args:\n    - init\n    ready: \"true\"\n  - name: later\n"},
		{"a move", "spec: {initContainers: [{name: a}, {name: b}]}\n", `[{"op":"move","from":"/spec/initContainers/1","path":"/spec/initContainers/0"}]`, "spec: {initContainers: [{name: b}, {name: a}]}\n"},
		{"an end", "spec:\n  volumes:\n  - name: a\n", `[{"op":"add","path":"/spec/volumes/-","value":{"name":"b"}}]`, "spec:\n  volumes:\n  - name: a\n  - name: b\n"},
		{"an empty value beside it", "metadata:\n  annotations:\n    a:\nspec:\n  initContainers:\n  -\n", addFirst, "metadata:\n  annotations:\n    a:\n    example.org/a: \"yes\"\nspec:\n  initContainers:\n  - name: first\n    args:\n    - init\n    ready: \"true\"\n  -\n"},
		{"an alias is written out", "metadata: {annotations: &x {k: v}}\nspec: {initContainers: [], other: *x}\n", addFirst,
			"metadata:\n  annotations:\n    example.org/a: \"yes\"\n    k: v\nspec:\n  initContainers:\n  - args:\n    - init\n    name: first\n    ready: \"true\"\n  other:\n    k: v\n"},
		{"JSON on one line", `{"metadata":{"annotations":{"b":"<c>"}},"spec":{"z":1.0,"initContainers":[]}}`, addFirst,
			`{"metadata":{"annotations":{"b":"<c>","example.org/a":"yes"}},"spec":{"z":1.0,"initContainers":[{"name":"first","args":["init"],"ready":"true"}]}}`},
		{"JSON on many lines", "{\n    \"spec\": {\n        \"volumes\": []\n    }\n}", `[{"op":"add","path":"/spec/volumes/-","value":"b"}]`, "{\n    \"spec\": {\n        \"volumes\": [\n            \"b\"\n        ]\n    }\n}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := read(t, c.text)[0].Patch([]byte(c.patch))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got.Text)); diff != "" {
				t.Errorf("patched (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPatchesThatDoNotFitAreRefused(t *testing.T) {
	for name, patch := range map[string]string{"no patch": "{", "no place": `[{"op":"add","path":"/a/b/c","value":1}]`} {
		t.Run(name, func(t *testing.T) {
			if d, err := read(t, "a: 1\n")[0].Patch([]byte(patch)); err == nil || !strings.HasPrefix(err.Error(), "file: ") {
				t.Errorf("patched to %q, error %v", d.Text, err)
			}
		})
	}
}

// FuzzPatch compares the edited text with the patched JSON.
func FuzzPatch(f *testing.F) {
	f.Add("metadata:\n  annotations: {}\nspec:\n  initContainers:\n  - name: x\n")
	f.Add("metadata: &a\n  annotations: {b: c}\nspec:\n  initContainers: [*a]\n")
	f.Add(`{"metadata":{"annotations":{}},"spec":{"initContainers":[{}]}}`)
	f.Add("metadata:\n  annotations:\n    a: |\n      yes\n      no\nspec:\n  initContainers:\n  - on: off\n    y: 0x10\n    n: 1_0\n")
	f.Add("a: &a ['x', *a]\nb: &b [*a, *a, *a]\nc: {<<: *b}\n")
	f.Add("metadata:\n  annotations: &x {k: v} # c\nspec:\n  initContainers: &y\n  - *x\n  # d\n  - *y\n")
	f.Fuzz(func(t *testing.T, text string) {
		documents, err := manifest.Read("file", []byte(text))
		if err != nil {
			return
		}
		content := 0
		for _, d := range documents {
			content += len(d.JSON)
			if limit := 16 * (len(text) + 16<<20); content > limit { // a byte is written by a few in JSON
				t.Fatalf("%d bytes are read as %d", len(text), content)
			}
			_, _ = d.Objects()
			patched, err := d.Patch([]byte(addFirst))
			if err != nil {
				continue
			}
			again, err := manifest.Read("file", patched.Text)
			if err != nil || len(again) != 1 {
				t.Fatalf("%q is patched to %q, which is read as %d documents: %v", text, patched.Text, len(again), err)
			}
			var got, want any
			if manifest.Decode(again[0].JSON, &got) != nil || manifest.Decode(patched.JSON, &want) != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q is patched to %q; want the content %s", text, patched.Text, patched.JSON)
			}
			if !json.Valid(patched.JSON) {
				t.Errorf("content %q", patched.JSON)
			}
		}
	})
}

func TestPodTemplatesAreFoundInAnyKind(t *testing.T) {
	const pod = "{spec: {containers: [{name: a}]}}"
	for _, c := range []struct {
		name, object string
		want         []string // pointer and field
	}{
		{"below spec", "spec: {template: " + pod + "}", []string{"/spec/template spec.template."}},
		{"in lists", "spec: {jobs: [{x: 1}, {template: " + pod + "}]}", []string{"/spec/jobs/1/template spec.jobs[1].template."}},
		{"several, in the order of keys", "spec: {b: " + pod + ", a: " + pod + "}", []string{"/spec/a spec.a.", "/spec/b spec.b."}},
		{"a key with a slash", "spec: {a/b: " + pod + "}", []string{"/spec/a~1b spec.a/b."}},
		{"the object itself is none", "spec: {containers: [{name: a}]}", nil},
		{"containers without names", "spec: {template: {spec: {containers: [{image: a}]}}}", nil},
		{"containers that are no list", "spec: {template: {spec: {containers: 3}}}", nil},
		{"one within another is the other's", "spec: {template: {spec: {containers: [{name: a}]}, x: " + pod + "}}", []string{"/spec/template spec.template."}},
		{"too deep", "spec: " + strings.Repeat("{a: ", 40) + pod + strings.Repeat("}", 40), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects, err := read(t, "apiVersion: example.com/v1\nkind: Any\nmetadata: {name: set}\n"+c.object+"\n")[0].Objects()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, found := range objects[0].Search() {
				got = append(got, found.Pointer+" "+found.Field)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("templates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheSearchForPodTemplatesIsBounded(t *testing.T) {
	text := "apiVersion: example.com/v1\nkind: Any\nmetadata: {name: set}\nspec: {all: [" + strings.Repeat("{spec: {containers: [{name: a}]}}, ", 100) + "]}\n"
	objects, err := read(t, text)[0].Objects()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(objects[0].Search()); got != 64 {
		t.Errorf("%d templates, want 64", got)
	}
}

// bomb is a text of a size and n aliases of it.
func bomb(size, n int) string {
	return "a: &a '" + strings.Repeat("x", size) + "'\nb: [" + strings.Repeat("*a, ", n) + "]\n"
}

func TestWhatIsReadIsBounded(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a long text and many aliases of it", bomb(1<<20, 20), "file, document 1: the aliases (*name) stand for more than 16 MiB"},
		{"aliases of aliases", "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\n" +
			"d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]\n",
			"file, document 1: "},
		{"an alias within what it stands for", "a: &a [*a]\n", "file, document 1: "},
		{"merged maps", "a: &a {b: '" + strings.Repeat("x", 1<<20) + "'}\nc: [" + strings.Repeat("{<<: *a}, ", 20) + "]\n", "the aliases (*name) stand for more than 16 MiB"},
		{"deep brackets", "a: " + strings.Repeat("[", 20_000), "file, document 1: "},
		{"deep lines", strings.Repeat("- ", 20_000) + "a\n", "file, document 1: "},
		{"deep JSON", strings.Repeat(`{"a":`, 20_000), "file, document 1: "},
		{"many YAML documents", strings.Repeat("a\n---\n", 100_001), "there are more than 100000 documents"},
		{"many JSON documents", strings.Repeat("{}", 100_001), "there are more than 100000 documents"},
		{"more than a file may have", strings.Repeat("#", manifest.MaxBytes+1), "file: is longer than 128 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if documents, err := manifest.Read("file", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d documents, error %.200v; want %q", len(documents), err, c.want)
			}
		})
	}
}

func TestWhatPeopleWriteIsBelowTheBounds(t *testing.T) {
	for name, text := range map[string]string{
		"aliases that save some lines":       bomb(1000, 1000),
		"comments that look like aliases":    "# a && b *c\n",
		"a script that looks like one":       "a: |\n  x && rm *.tmp\n",
		"a long document without an alias":   "a: '" + strings.Repeat("x& *y ", 1<<17) + "'\n",
		"as many documents as there may be":  strings.Repeat("{}", 100_000),
		"a string with the signs of aliases": "a: '&a *a'\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := manifest.Read("file", []byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestListsInListsAreBounded(t *testing.T) {
	nested := func(depth int) string {
		return strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, depth) + `{"apiVersion":"v1","kind":"Pod"}` + strings.Repeat("]}", depth)
	}
	if objects, err := read(t, nested(8))[0].Objects(); err != nil || len(objects) != 1 {
		t.Errorf("%d objects, %v; want the pod", len(objects), err)
	}
	if _, err := read(t, nested(9))[0].Objects(); err == nil || !strings.Contains(err.Error(), "is a List too deep in other Lists") {
		t.Errorf("error %v", err)
	}
}
