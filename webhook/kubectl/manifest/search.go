package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// deepest is how many levels of an object are searched for pod templates.
const deepest = 32

// mostTemplates is how many pod templates of one object are looked at.
const mostTemplates = 64

// Search looks for pod templates in an object of any kind: maps, below the
// object itself, whose spec has containers. Kinds that Template knows need no
// search.
func (o Object) Search() []Template {
	var content any
	if Decode(o.Raw, &content) != nil {
		return nil
	}
	s := search{}
	s.walk(content, o.Pointer, "", 0)
	return s.found
}

type search struct{ found []Template }

func (s *search) walk(node any, pointer, field string, depth int) {
	if depth > deepest || len(s.found) == mostTemplates {
		return
	}
	switch node := node.(type) {
	case map[string]any:
		if depth > 0 && isTemplate(node) {
			s.take(node, pointer, field)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			s.walk(node[key], pointer+"/"+escape(key), field+key+".", depth+1)
		}
	case []any:
		for i, element := range node {
			s.walk(element, fmt.Sprintf("%s/%d", pointer, i), fmt.Sprintf("%s[%d].", strings.TrimSuffix(field, "."), i), depth+1)
		}
	}
}

func (s *search) take(node map[string]any, pointer, field string) {
	if raw, err := json.Marshal(node); err == nil {
		s.found = append(s.found, Template{Pointer: pointer, Field: field, Raw: raw})
	}
}

// isTemplate reports whether a map is shaped as a pod: other things have a spec
// too, and few of these a list of containers with names.
func isTemplate(node map[string]any) bool {
	spec, _ := node["spec"].(map[string]any)
	containers, _ := spec["containers"].([]any)
	unnamed := func(element any) bool {
		container, _ := element.(map[string]any)
		name, _ := container["name"].(string)
		return name == ""
	}
	return len(containers) > 0 && !slices.ContainsFunc(containers, unnamed)
}

// escape is RFC 6901's.
func escape(token string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(token) }

// Mentions reports whether a map anywhere in the object has the key.
func (o Object) Mentions(key string) bool {
	var content any
	return Decode(o.Raw, &content) == nil && mentions(content, key, 0)
}

func mentions(node any, key string, depth int) bool {
	if depth > deepest {
		return false
	}
	below := func(child any) bool { return mentions(child, key, depth+1) }
	switch node := node.(type) {
	case map[string]any:
		if _, found := node[key]; found {
			return true
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(node)), below)
	case []any:
		return slices.ContainsFunc(node, below)
	}
	return false
}
