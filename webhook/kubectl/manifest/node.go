package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

var errPlace = errors.New("there is no such place in the YAML text")

// edit applies one operation to a document's nodes.
func edit(document *kyaml.RNode, operation jsonpatch.Operation) error {
	path, err := operation.Path()
	if err != nil {
		return fmt.Errorf("path of an operation: %w", err)
	}
	var value *kyaml.Node
	switch operation.Kind() {
	case "add":
		value, err = newNode(operation)
	case "move":
		from, errFrom := operation.From()
		if errFrom != nil {
			return fmt.Errorf("origin of a move: %w", errFrom)
		}
		value, err = take(document, from)
	default:
		err = fmt.Errorf("operation %q is none that is made", operation.Kind())
	}
	if err != nil {
		return err
	}
	return put(document, path, value)
}

// newNode makes a node of an operation's JSON value, in block style.
func newNode(operation jsonpatch.Operation) (*kyaml.Node, error) {
	raw := operation["value"]
	if raw == nil {
		return nil, errors.New("an add has no value")
	}
	value, err := kyaml.Parse(string(*raw))
	if err != nil {
		return nil, fmt.Errorf("value of an add: %w", err)
	}
	block(value.YNode())
	return value.YNode(), nil
}

// block takes JSON's style away. Strings stay quoted that older YAML takes for
// something else, such as yes.
func block(n *kyaml.Node) {
	if plain, err := yaml.Marshal(n.Value); n.Kind != kyaml.ScalarNode || err == nil && plain[0] != '"' && plain[0] != '\'' {
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child)
	}
}

// parent finds what holds the last element of a pointer, and that element.
func parent(document *kyaml.RNode, pointer string) (*kyaml.Node, string, error) {
	tokens := strings.Split(pointer, "/")
	if len(tokens) < 2 {
		return nil, "", errPlace
	}
	node := document.YNode()
	for _, token := range tokens[1 : len(tokens)-1] {
		i, found := index(node, unescape(token))
		if !found {
			return nil, "", errPlace
		}
		node = node.Content[i]
	}
	return node, unescape(tokens[len(tokens)-1]), nil
}

// unescape is RFC 6901's.
func unescape(token string) string { return strings.NewReplacer("~1", "/", "~0", "~").Replace(token) }

// index finds a child: the value of a key, or an element.
func index(n *kyaml.Node, token string) (int, bool) {
	switch n.Kind {
	case kyaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == token {
				return i + 1, true
			}
		}
	case kyaml.SequenceNode:
		i, err := strconv.Atoi(token)
		return i, err == nil && i >= 0 && i < len(n.Content)
	}
	return 0, false
}

// textKeys reports whether a map has no keys but text. Others (0, yes) are
// written in several ways, and found by one.
func textKeys(n *kyaml.Node) bool {
	for i := 0; n.Kind == kyaml.MappingNode && i < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != kyaml.NodeTagString {
			return false
		}
	}
	return true
}

// put adds a value, as the operation add does.
func put(document *kyaml.RNode, pointer string, value *kyaml.Node) error {
	holder, token, err := parent(document, pointer)
	if err != nil {
		return err
	}
	if !textKeys(holder) {
		return errPlace
	}
	if len(holder.Content) == 0 || value.Kind == kyaml.MappingNode {
		holder.Style = 0 // what is in brackets gets lines of its own
	}
	i, found := index(holder, token)
	switch {
	case holder.Kind == kyaml.MappingNode && found:
		holder.Content[i] = value
	case holder.Kind == kyaml.MappingNode:
		key := &kyaml.Node{Kind: kyaml.ScalarNode, Tag: kyaml.NodeTagString, Style: kyaml.DoubleQuotedStyle, Value: token}
		block(key)
		holder.Content = append(holder.Content, key, value)
	case holder.Kind == kyaml.SequenceNode && found:
		holder.Content = slices.Insert(holder.Content, i, value)
	case holder.Kind == kyaml.SequenceNode && (token == "-" || token == strconv.Itoa(len(holder.Content))):
		holder.Content = append(holder.Content, value)
	default:
		return errPlace
	}
	return nil
}

// take removes an element of a list and returns it.
func take(document *kyaml.RNode, pointer string) (*kyaml.Node, error) {
	holder, token, err := parent(document, pointer)
	if err != nil {
		return nil, err
	}
	i, found := index(holder, token)
	if !found || holder.Kind != kyaml.SequenceNode {
		return nil, errPlace
	}
	value := holder.Content[i]
	holder.Content = slices.Delete(holder.Content, i, i+1)
	return value, nil
}
