package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"

	jsonpatch "github.com/evanphx/json-patch/v5"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// Patch applies a JSON patch (RFC 6902) of operations add and move to the
// document's text. It reads and writes the whole document, so anyone who has
// changes in many places of it makes one patch of them.
func (d Document) Patch(patch []byte) (Document, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return d, fmt.Errorf("%s: decoding the patch: %w", d.Source, err)
	}
	options := jsonpatch.NewApplyOptions()
	options.EscapeHTML = false
	content, err := operations.ApplyWithOptions(d.JSON, options)
	if err != nil {
		return d, fmt.Errorf("%s: applying the patch: %w", d.Source, err)
	}
	d.JSON = content
	if d.IsJSON {
		d.Text, err = indentLike(d.Text, content)
	} else {
		d.Text, err = patchYAML(d.Text, operations, content)
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", d.Source, err)
	}
	return d, nil
}

// indentLike writes JSON on one line or on many, as the original is.
func indentLike(original, content []byte) ([]byte, error) {
	if !bytes.Contains(original, []byte("\n")) {
		return content, nil
	}
	indent := "  "
	if found := regexp.MustCompile(`\n([ \t]+)"`).FindSubmatch(original); found != nil {
		indent = string(found[1])
	}
	var text bytes.Buffer
	if err := json.Indent(&text, content, "", indent); err != nil {
		return nil, fmt.Errorf("indenting: %w", err)
	}
	return text.Bytes(), nil
}

// patchYAML applies the operations to the text's own nodes, which keeps its
// order and comments. content is what it must come to; where a text cannot be
// kept (anchors, for example, may stand for several places), that is written
// afresh.
func patchYAML(text []byte, operations jsonpatch.Patch, content []byte) ([]byte, error) {
	if edited, err := editYAML(text, operations); err == nil && sameContent(edited, content) {
		return edited, nil
	}
	afresh, err := yaml.JSONToYAML(content)
	if err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return afresh, nil
}

func sameContent(text, content []byte) bool {
	got, err := yaml.YAMLToJSON(text)
	var a, b any
	return err == nil && Decode(got, &a) == nil && Decode(content, &b) == nil && reflect.DeepEqual(a, b)
}

func editYAML(text []byte, operations jsonpatch.Patch) ([]byte, error) {
	document, err := kyaml.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading YAML: %w", err)
	}
	for _, operation := range operations {
		if err := edit(document, operation); err != nil {
			return nil, err
		}
	}
	style := kyaml.SequenceIndentStyle(kyaml.DeriveSeqIndentStyle(string(text)))
	edited, err := kyaml.MarshalWithOptions(document.Document(), &kyaml.EncoderOptions{SeqIndent: style})
	if err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return edited, nil
}
