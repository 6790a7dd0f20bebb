package vpc

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// MaxFilterValues is the most that EC2 takes in one call, of all filters
// together (FilterLimitExceeded).
const MaxFilterValues = 200

// Filter makes a filter of Describe calls.
func Filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// Chunks splits the longest of the filters, so that each call has no more values
// than EC2 takes. The others must leave room for one.
func Chunks(filters ...types.Filter) [][]types.Filter {
	long, others := 0, 0
	for i, f := range filters {
		others += len(f.Values)
		if len(f.Values) > len(filters[long].Values) {
			long = i
		}
	}
	if others <= MaxFilterValues {
		return [][]types.Filter{filters}
	}
	values := filters[long].Values
	var list [][]types.Filter
	for some := range slices.Chunk(values, max(1, MaxFilterValues-(others-len(values)))) {
		next := slices.Clone(filters)
		next[long].Values = some
		list = append(list, next)
	}
	return list
}

// Pages reads a list page by page until one has no token, and writes the token
// of the next into token: a short or an empty page does not end a list. One
// that does not come to an end is an error: what was read so far may be any
// part of it.
func Pages(action string, most int, token **string, read func() (next *string, err error)) error {
	seen := map[string]bool{}
	for range most {
		next, err := read()
		switch {
		case err != nil:
			return err
		case aws.ToString(next) == "":
			return nil
		case seen[*next]:
			return endless(action, "a NextToken came twice")
		}
		seen[*next], *token = true, next
	}
	return endless(action, fmt.Sprintf("more than %d pages", most))
}

func endless(action, what string) error {
	return &fault.Error{Action: action, Code: fault.CodeEndless, Err: errors.New("the list does not end: " + what)}
}
