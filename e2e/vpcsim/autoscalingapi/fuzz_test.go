package autoscalingapi

import (
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
)

// FuzzPagesAndFilters looks for panics, and for pages that are too long or lie
// outside the list.
func FuzzPagesAndFilters(f *testing.F) {
	f.Add("Action=DescribeAutoScalingGroups&Filters.member.1.Name=tag:a&Filters.member.1.Values.member.1=b&MaxRecords=3&NextToken=Mg==")
	f.Add("MaxRecords=-1&NextToken=LTE=")
	f.Fuzz(func(t *testing.T, form string) {
		p, err := query.ParseQuery(form)
		if err != nil {
			return
		}
		_, _ = readFilters(p)
		items, next, err := page(p, []int{1, 2, 3, 4, 5}, 2, 4)
		if err != nil {
			return
		}
		if len(items) > 4 || next != "" && len(items) == 0 {
			t.Errorf("the page has %v, and the next token is %q", items, next)
		}
	})
}
