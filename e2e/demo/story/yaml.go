package story

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// YAML renders an object of an API for reading: the named fields, in their
// order, each on one line in flow style but for lists of objects, which get a
// line per object. The rest is summed up in a comment.
func YAML(object any, fields ...string) (string, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return "", fmt.Errorf("want an object: %w", err)
	}
	var out strings.Builder
	for _, field := range fields {
		if value, ok := all[field]; ok {
			out.WriteString(entry(field, value))
			delete(all, field)
		}
	}
	if len(all) > 0 {
		out.WriteString("# and " + strings.Join(sorted(all), ", ") + "\n")
	}
	return out.String(), nil
}

func entry(field string, value any) string {
	items, isList := value.([]any)
	if !isList || !slices.ContainsFunc(items, isObject) {
		return field + ": " + flow(value) + "\n"
	}
	var out strings.Builder
	out.WriteString(field + ":\n")
	for _, item := range items {
		out.WriteString("- " + flow(item) + "\n")
	}
	return out.String()
}

func isObject(value any) bool {
	_, ok := value.(map[string]any)
	return ok
}

// flow renders a value in YAML's flow style.
func flow(value any) string {
	var parts []string
	switch v := value.(type) {
	case map[string]any:
		for _, key := range sorted(v) {
			parts = append(parts, key+": "+flow(v[key]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, item := range v {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return scalar(v)
	case nil:
		return "null"
	}
	return fmt.Sprint(value)
}

// plain matches strings that YAML reads as strings without quotes, words of
// other meaning aside.
var plain = regexp.MustCompile(`^[A-Za-z/]([A-Za-z0-9/._:-]*[A-Za-z0-9/._-])?$`)

// scalar quotes what YAML would not read as this string.
func scalar(text string) string {
	meaning := []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
	if plain.MatchString(text) && !slices.Contains(meaning, strings.ToLower(text)) {
		return text
	}
	return strconv.Quote(text)
}

// sorted returns the keys in the order of manifests: the name first.
func sorted(object map[string]any) []string {
	var keys []string
	for key := range object {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if a == "name" || b == "name" {
			return map[bool]int{true: -1, false: 1}[a == "name"]
		}
		return strings.Compare(a, b)
	})
	return keys
}
