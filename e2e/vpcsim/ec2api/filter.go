package ec2api

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
)

// maxFilterValues is AWS's limit of values in one request.
const maxFilterValues = 200

// fields names what a thing can be filtered by. A thing may have several values
// under one name, such as its addresses.
type fields[T any] map[string]func(T) []string

// filter is one Filter.N: it passes things that match any of its values.
type filter[T any] struct {
	values func(T) []string
	want   []string
}

// parseFilters reads the filters of a request. tags is nil for things without
// tags.
func parseFilters[T any](p query.Params, known fields[T], tags func(T) map[string]string) ([]filter[T], error) {
	var out []filter[T]
	total := 0
	for _, f := range p.Each("Filter") {
		name, want := f["Name"], f.List("Value")
		total += len(want)
		values := known[name]
		if values == nil && tags != nil {
			values = tagValues(name, tags)
		}
		if values == nil {
			return nil, apierr.Value("The filter '%s' is invalid", name)
		}
		out = append(out, filter[T]{values, canonical(want)})
	}
	if total > maxFilterValues {
		return nil, apierr.New("FilterLimitExceeded",
			"The maximum number of filter values specified on a single call is %d", maxFilterValues)
	}
	return out, nil
}

// tagValues returns the reader of a tag filter, or nil.
func tagValues[T any](name string, tags func(T) map[string]string) func(T) []string {
	if name == "tag-key" {
		return func(t T) []string {
			var keys []string
			for k := range tags(t) {
				keys = append(keys, k)
			}
			return keys
		}
	}
	key, ok := strings.CutPrefix(name, "tag:")
	if !ok {
		return nil
	}
	return func(t T) []string {
		if v, ok := tags(t)[key]; ok {
			return []string{v}
		}
		return nil
	}
}

// canonical rewrites IPv6 addresses in the form that EC2 stores.
func canonical(values []string) []string {
	out := slices.Clone(values)
	for i, v := range out {
		if a, err := netip.ParseAddr(v); err == nil && a.Is6() {
			out[i] = a.String()
		}
	}
	return out
}

// passes reports whether t satisfies all filters.
func passes[T any](t T, filters []filter[T]) bool {
	for _, f := range filters {
		hit := slices.ContainsFunc(f.values(t), func(v string) bool {
			return slices.ContainsFunc(f.want, func(pattern string) bool { return Match(pattern, v) })
		})
		if !hit {
			return false
		}
	}
	return true
}

// Match reports whether text matches a filter value: * stands for any text, ?
// for any one character, and a backslash takes the next character as it is.
func Match(pattern, text string) bool {
	// Greedy with one point of return: star and mark are where to go back to.
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			p, t = p+1, t+1
		case p+1 < len(pattern) && pattern[p] == '\\' && pattern[p+1] == text[t]:
			p, t = p+2, t+1
		case p < len(pattern) && pattern[p] != '\\' && pattern[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// none is the reader of a filter that the things of this simulator never pass:
// they have no such property.
func none[T any](T) []string { return nil }

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func addresses(list []netip.Addr) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}
