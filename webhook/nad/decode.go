package nad

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
)

// deepestField is how deep in a section locate looks for what cannot be decoded.
// No plugin has fields further down.
const deepestField = 8

// mostParts is how many commas a part may have in which locate looks further. In
// a longer one it is not said where the mistake is.
const mostParts = 2000

// mistake is a part of a JSON document that its plugin cannot decode.
type mistake struct {
	path string // ".ipam.routes[0].gw" by the document's own keys; empty: all of it
	text string // "is a JSON string; want a list"
}

func (m mistake) Error() string { return m.text }

// decode decodes a document as its plugin does, by Go's encoding/json and with
// fields of the same types. The error is a mistake, which names the document's
// keys and no Go type.
func decode(raw json.RawMessage, into any) error {
	err := json.Unmarshal(raw, into)
	if err == nil {
		return nil
	}
	fails := func(part json.RawMessage) error {
		return json.Unmarshal(part, reflect.New(reflect.TypeOf(into).Elem()).Interface())
	}
	path, leaf := locate(raw, fails, deepestField)
	if leaf == nil { // only the whole document fails
		leaf = err
	}
	return mistake{path, describe(leaf).Error()}
}

// locate returns the path of the smallest part that fails when it stands alone.
// encoding/json does not say where a field's own decoder failed, and names
// embedded Go structs where it does say something.
func locate(raw json.RawMessage, fails func(json.RawMessage) error, depth int) (string, error) {
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case depth == 0 || bytes.Count(raw, []byte(",")) > mostParts: // each part is decoded for itself
	case json.Unmarshal(raw, &object) == nil:
		if err := fails([]byte("{}")); err != nil { // whatever is in it
			return "", fails(raw)
		}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			alone := func(part json.RawMessage) error { return failsIn(map[string]json.RawMessage{key: part}, fails) }
			if alone(object[key]) != nil {
				path, err := locate(object[key], alone, depth-1)
				return "." + key + path, err
			}
		}
	case json.Unmarshal(raw, &list) == nil:
		if err := fails([]byte("[]")); err != nil {
			return "", fails(raw)
		}
		for i := range list {
			alone := func(part json.RawMessage) error { return failsIn([]json.RawMessage{part}, fails) }
			if alone(list[i]) != nil {
				path, err := locate(list[i], alone, depth-1)
				return fmt.Sprintf("[%d]%s", i, path), err
			}
		}
	}
	return "", fails(raw)
}

func failsIn(outer any, fails func(json.RawMessage) error) error {
	text, err := json.Marshal(outer)
	if err != nil {
		return err
	}
	return fails(text)
}

// describe turns an error of encoding/json into words that name no Go type.
func describe(err error) error {
	if m, ok := errors.AsType[mistake](err); ok {
		if m.path == "" {
			return errors.New(m.text)
		}
		return fmt.Errorf("field %q %s", m.path[1:], m.text)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON at character %d: %w", syntax.Offset, err)
	}
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("is a JSON %s; want %s", mismatch.Value, jsonName(mismatch.Type))
	}
	if text, ok := errors.AsType[*net.ParseError](err); ok {
		return fmt.Errorf("is %q, which is not %s", text.Text, map[string]string{"IP address": "an IP address", "CIDR address": "a CIDR such as 10.20.0.0/16"}[text.Type])
	}
	return err
}

// jsonName says in JSON's words what a Go type is decoded from.
func jsonName(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a string"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint32:
		return "a whole number"
	default:
		return "an object"
	}
}
