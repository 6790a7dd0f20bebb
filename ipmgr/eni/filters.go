package eni

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// filterValues is the most that EC2 takes in one call, of all filters together
// (FilterLimitExceeded). A pod can have more links and addresses than that.
const filterValues = 200

// where describes the ENIs that pass all filters, each once.
func (a api) where(ctx context.Context, filters ...types.Filter) ([]nic, error) {
	var nics []nic
	seen := map[string]bool{}
	for _, some := range chunks(filters) {
		part, err := a.describe(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: some})
		if err != nil {
			return nil, err
		}
		for _, n := range part {
			if !seen[n.ID] {
				nics = append(nics, n)
			}
			seen[n.ID] = true
		}
	}
	return nics, nil
}

// chunks splits the longest of the filters, so that each call has no more values
// than EC2 takes. The others must leave room for one.
func chunks(filters []types.Filter) [][]types.Filter {
	long, others := 0, 0
	for i, f := range filters {
		others += len(f.Values)
		if len(f.Values) > len(filters[long].Values) {
			long = i
		}
	}
	if others <= filterValues {
		return [][]types.Filter{filters}
	}
	values := filters[long].Values
	var list [][]types.Filter
	for some := range slices.Chunk(values, max(1, filterValues-(others-len(values)))) {
		next := slices.Clone(filters)
		next[long].Values = some
		list = append(list, next)
	}
	return list
}
