// Package query is the Query protocol of AWS over HTTP: form-encoded requests with
// signatures, as EC2 and Auto Scaling take them. What a request does and how its
// answer looks is decided by a [Dialect].
package query

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
)

// maxIndex bounds the N of list parameters such as Filter.N, so that a hostile
// request cannot ask for an absurd list.
const maxIndex = 10000

// Params are the parameters of one Query request, flat as on the wire:
// Filter.1.Value.2.
type Params map[string]string

// ParseQuery reads a form-encoded Query request. The error is an
// *apierr.Error.
func ParseQuery(form string) (Params, error) {
	values, err := url.ParseQuery(form)
	if err != nil {
		return nil, apierr.New("MalformedQueryString", "The query string contains a syntax error: %s", err)
	}
	p := Params{}
	for name, list := range values {
		if len(list) > 1 {
			return nil, apierr.New("InvalidParameterCombination", "The parameter %s is given %d times", name, len(list))
		}
		p[name] = list[0]
	}
	return p, nil
}

// Flat returns the parameters without Action and Version.
func (p Params) Flat() map[string]string {
	flat := maps.Clone(map[string]string(p))
	delete(flat, "Action")
	delete(flat, "Version")
	return flat
}

// Shape returns a parameter's name with its list indices as N.
func Shape(name string) string {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		if _, ok := index(part); ok && i > 0 {
			parts[i] = "N"
		}
	}
	return strings.Join(parts, ".")
}

// index reads a list index.
func index(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= maxIndex && strconv.Itoa(n) == text
}

// members returns what follows NAME.N. in the parameters of a list, by N. What
// follows NAME.N alone is under "". Gaps are allowed.
func (p Params) members(list string) map[int]Params {
	found := map[int]Params{}
	for name, value := range p {
		rest, ok := strings.CutPrefix(name, list+".")
		if !ok {
			continue
		}
		head, field, _ := strings.Cut(rest, ".")
		n, ok := index(head)
		if !ok {
			continue
		}
		if found[n] == nil {
			found[n] = Params{}
		}
		found[n][field] = value
	}
	return found
}

// List returns the values of NAME.1, NAME.2 and so on.
func (p Params) List(name string) []string {
	var out []string
	members := p.members(name)
	for _, i := range slices.Sorted(maps.Keys(members)) {
		if v, ok := members[i][""]; ok {
			out = append(out, v)
		}
	}
	return out
}

// Each returns the members of a list of structures, each as parameters of its
// own.
func (p Params) Each(name string) []Params {
	var out []Params
	members := p.members(name)
	for _, i := range slices.Sorted(maps.Keys(members)) {
		delete(members[i], "")
		out = append(out, members[i])
	}
	return out
}

// Optional returns a parameter, or nil when it is absent.
func (p Params) Optional(name string) *string {
	if v, ok := p[name]; ok {
		return &v
	}
	return nil
}

// Int returns a number, or nil when it is absent.
func (p Params) Int(name string) (*int, error) {
	v, ok := p[name]
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return nil, apierr.Value("Value (%s) for parameter %s is invalid. Expecting an integer.", v, camel(name))
	}
	i := int(n)
	return &i, nil
}

// Bool returns a truth value, or nil when it is absent.
func (p Params) Bool(name string) (*bool, error) {
	v, ok := p[name]
	if !ok {
		return nil, nil
	}
	b := strings.EqualFold(v, "true")
	if !b && !strings.EqualFold(v, "false") {
		return nil, apierr.Value("Value (%s) for parameter %s is invalid. Expecting true or false.", v, camel(name))
	}
	return &b, nil
}

// Is returns a truth value that is false when absent.
func (p Params) Is(name string) (bool, error) {
	b, err := p.Bool(name)
	return b != nil && *b, err
}

// Tags returns the tags of NAME.N.Key and NAME.N.Value.
func (p Params) Tags(name string) map[string]string {
	tags := map[string]string{}
	for _, tag := range p.Each(name) {
		tags[tag["Key"]] = tag["Value"]
	}
	return tags
}

// camel turns a parameter's name into the form that EC2's messages use.
func camel(name string) string {
	r := []rune(name)
	if len(r) > 0 {
		r[0] = unicode.ToLower(r[0])
	}
	return string(r)
}
