package ec2api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
)

// pageRule is how an action pages.
type pageRule struct {
	// min and max bound MaxResults.
	min, max int
	// whole is the page size when MaxResults is absent.
	whole int
	// ids is the list parameter that excludes MaxResults, "" when none does.
	ids string
}

// cursor is the content of a NextToken.
type cursor struct {
	Offset int    `json:"o"`
	Page   int    `json:"p"`
	Query  uint64 `json:"q"` // what was asked: a token continues only that
}

// page cuts one page out of items and returns the token for the next, "" at the
// end.
func page[T any](a *API, p Params, items []T, rule pageRule) ([]T, string, error) {
	size, err := p.Int("MaxResults")
	if err != nil {
		return nil, "", err
	}
	if err := rule.check(p, size); err != nil {
		return nil, "", err
	}
	at, err := p.cursor(len(items))
	if err != nil {
		return nil, "", err
	}
	n := rule.whole
	if size != nil {
		n = a.pageSize(*size, at.Page)
	}
	end := min(at.Offset+n, len(items))
	if end == len(items) {
		return items[at.Offset:], "", nil
	}
	token, err := json.Marshal(cursor{Offset: end, Page: at.Page + 1, Query: p.query()})
	if err != nil {
		return nil, "", fmt.Errorf("encode NextToken: %w", err)
	}
	return items[at.Offset:end], base64.URLEncoding.EncodeToString(token), nil
}

// pageSize shortens pages as EC2 was seen to do: six ENIs with MaxResults 5
// came as pages of 1, 1, 2 and 2.
func (a *API) pageSize(asked, page int) int {
	if !a.Settings.Get().ShortPages {
		return asked
	}
	fifths := []int{1, 1, 2, 2}[page%4]
	return max(1, asked*fifths/5)
}

func (r pageRule) check(p Params, size *int) error {
	switch {
	case size == nil:
		return nil
	case r.ids != "" && len(p.List(r.ids)) > 0:
		return apierr.New("InvalidParameterCombination",
			"The parameter %ss cannot be used with the parameter maxResults", camel(r.ids))
	case *size < r.min:
		return apierr.Value("Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than or equal to %d.",
			*size, r.min)
	case *size > r.max:
		return apierr.Value("Value ( %d ) for parameter maxResults is invalid. Expecting a value less than or equal to %d.",
			*size, r.max)
	}
	return nil
}

func (p Params) cursor(items int) (cursor, error) {
	var c cursor
	text, ok := p["NextToken"]
	if !ok || text == "" {
		return c, nil
	}
	data, err := base64.URLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil || c.Query != p.query() || c.Offset < 0 || c.Page < 0 {
		return c, apierr.New("InvalidNextToken", "The token '%s' is invalid", text)
	}
	c.Offset = min(c.Offset, items) // things may have gone meanwhile
	return c, nil
}

// query is a fingerprint of a request without its paging.
func (p Params) query() uint64 {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != "MaxResults" && name != "NextToken" {
			_, _ = fmt.Fprintf(h, "%q=%q;", name, p[name]) // fnv never fails
		}
	}
	return h.Sum64()
}
