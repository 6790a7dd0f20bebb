// Package values makes a chart's schema and its table of values of its
// commented values.yaml.
//
// The comment above a key describes it. A line "@schema {...}" in it adds to
// the schema that the default value implies.
package values

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Value is one setting.
type Value struct {
	Name        string // without its parents
	Description string
	Default     string         // in JSON; of a leaf
	Schema      map[string]any // of a leaf, and what "@schema" says
	Children    []Value        // of a section
}

// Parse reads values.yaml. A setting without a comment is an error.
func Parse(data []byte) ([]Value, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("values are not a mapping")
	}
	return section(document.Content[0], "")
}

// section reads the keys of a mapping.
func section(node *yaml.Node, path string) ([]Value, error) {
	var list []Value
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, content := node.Content[i], node.Content[i+1]
		v, err := read(key, content, path+key.Value)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", path, key.Value, err)
		}
		list = append(list, v)
	}
	return list, nil
}

func read(key, content *yaml.Node, path string) (Value, error) {
	v := Value{Name: key.Value}
	if err := v.comment(key.HeadComment); err != nil {
		return v, err
	}
	if content.Kind == yaml.MappingNode && len(content.Content) > 0 && v.Schema == nil {
		children, err := section(content, path+".")
		v.Children = children
		return v, err
	}
	if v.Description == "" {
		return v, fmt.Errorf("it has no comment that describes it")
	}
	return v, v.leaf(content)
}

// comment splits a comment into description and schema.
func (v *Value) comment(text string) error {
	// A blank line ends what belongs to the file and not to the key.
	if at := strings.LastIndex(text, "\n\n"); at >= 0 {
		text = text[at+2:]
	}
	var words []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		schema, ok := strings.CutPrefix(line, "@schema ")
		if !ok {
			words = append(words, line)
			continue
		}
		if err := json.Unmarshal([]byte(schema), &v.Schema); err != nil {
			return fmt.Errorf("@schema: %w", err)
		}
	}
	v.Description = strings.TrimSpace(strings.Join(words, " "))
	return nil
}

// leaf takes default and type from a value.
func (v *Value) leaf(content *yaml.Node) error {
	var value any
	if err := content.Decode(&value); err != nil {
		return err
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	v.Default = string(data)
	schema := map[string]any{"type": typeOf(value), "default": value, "description": v.Description}
	maps.Copy(schema, v.Schema)
	v.Schema = schema
	return nil
}

func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// Schema returns the JSON schema of all values. Unknown keys are refused: they
// are slips of the pen.
func Schema(list []Value) ([]byte, error) {
	root := object(list)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	// Helm hands globals to every chart.
	if properties, ok := root["properties"].(map[string]any); ok {
		properties["global"] = map[string]any{"type": "object"}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(root)
	return out.Bytes(), err
}

func object(list []Value) map[string]any {
	properties := map[string]any{}
	for _, v := range list {
		if v.Children == nil {
			properties[v.Name] = v.Schema
			continue
		}
		child := object(v.Children)
		if v.Description != "" {
			child["description"] = v.Description
		}
		properties[v.Name] = child
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

// The table stands between these lines.
const (
	begin = "<!-- values: made of values.yaml by make generate -->\n"
	end   = "<!-- end of values -->\n"
)

// Insert replaces the table of values in a Markdown page.
func Insert(page []byte, list []Value) ([]byte, error) {
	before, rest, found := bytes.Cut(page, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		return nil, fmt.Errorf("the page has no lines %q and %q", begin, end)
	}
	table := "\n| value | default | meaning |\n|---|---|---|\n" + strings.Join(rows(list, ""), "") + "\n"
	return slices.Concat(before, []byte(begin), []byte(table), []byte(end), after), nil
}

func rows(list []Value, path string) []string {
	var all []string
	for _, v := range list {
		if v.Children != nil {
			all = append(all, rows(v.Children, path+v.Name+".")...)
			continue
		}
		meaning := strings.ReplaceAll(v.Description, "|", `\|`)
		all = append(all, fmt.Sprintf("| %#q | %#q | %s |\n", path+v.Name, v.Default, meaning))
	}
	return all
}
