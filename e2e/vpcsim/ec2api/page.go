package ec2api

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
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
	Action string `json:"a"`
	Offset int    `json:"o"`
	Page   int    `json:"p"`
	Query  uint64 `json:"q"` // what was asked
	Order  uint64 `json:"s"` // of the list, 0 for that of creation
}

// page cuts one page out of items and returns the token for the next, "" at the
// end. id tells items apart. A token continues another query too, as EC2's do:
// its first page is empty then.
func page[T any](a *API, p query.Params, items []T, id func(T) string, rule pageRule) ([]T, string, error) {
	size, err := p.Int("MaxResults")
	if err != nil {
		return nil, "", err
	}
	if err := rule.check(p, size); err != nil {
		return nil, "", err
	}
	at, err := a.cursor(p)
	if err != nil {
		return nil, "", err
	}
	shuffle(items, id, at.Order)
	n := rule.whole
	if size != nil {
		n = a.pageSize(*size, at.Page)
	}
	empty, trailing := a.emptyPage(p, at, rule)
	if empty {
		n = 0
	}
	start := min(at.Offset, len(items)) // things may have gone meanwhile
	end := min(start+n, len(items))
	if end == len(items) && !trailing {
		return items[start:], "", nil
	}
	token, err := json.Marshal(cursor{
		Action: p["Action"], Offset: end, Page: at.Page + 1, Query: fingerprint(p), Order: at.Order,
	})
	if err != nil {
		return nil, "", fmt.Errorf("encode NextToken: %w", err)
	}
	return items[start:end], base64.URLEncoding.EncodeToString(token), nil
}

// emptyPage reports whether a page has no items, and whether another one
// follows in any case. Lists of ids are never paged.
func (a *API) emptyPage(p query.Params, at cursor, rule pageRule) (empty, another bool) {
	switch {
	case at.Query != fingerprint(p):
		return true, true
	case !a.Settings.Get().EmptyPages || rule.ids != "" && len(p.List(rule.ids)) > 0:
		return false, false
	default: // every second page is empty, the first and the last too
		empty := at.Page%2 == 0
		return empty, !empty || at.Page == 0
	}
}

// shuffle sorts items into an order of their own, which stays the same while
// others come and go. Order 0 leaves them as they are.
func shuffle[T any](items []T, id func(T) string, order uint64) {
	if order == 0 {
		return
	}
	rank := func(t T) uint64 {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%d %s %[1]d", order, id(t)) // fnv never fails
		return h.Sum64()
	}
	slices.SortFunc(items, func(a, b T) int { return cmp.Compare(rank(a), rank(b)) })
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

func (r pageRule) check(p query.Params, size *int) error {
	switch {
	case size == nil:
		return nil
	case r.ids != "" && len(p.List(r.ids)) > 0:
		return apierr.New("InvalidParameterCombination",
			"The parameter %ss cannot be used with the parameter MaxResults", r.ids)
	case *size < r.min:
		return apierr.Value("Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than or equal to %d.",
			*size, r.min)
	case *size > r.max:
		return apierr.Value("Value ( %d ) for parameter maxResults is invalid. Expecting a value less than or equal to %d.",
			*size, r.max)
	}
	return nil
}

// cursor continues a list, or begins one.
func (a *API) cursor(p query.Params) (cursor, error) {
	if p["NextToken"] != "" {
		return readCursor(p)
	}
	c := cursor{Query: fingerprint(p)}
	if a.Settings.Get().Order == settings.Random {
		c.Order = a.Rand.Uint64() | 1
	}
	return c, nil
}

// readCursor reads the NextToken.
func readCursor(p query.Params) (c cursor, err error) {
	text := p["NextToken"]
	data, err := base64.URLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil || c.Action != p["Action"] || c.Offset < 0 || c.Page < 1 {
		return c, apierr.Value("Value ( %s ) for parameter NextToken is invalid. The token is invalid.", text)
	}
	return c, nil
}

// fingerprint tells a request from others, without its paging.
func fingerprint(p query.Params) uint64 {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != "MaxResults" && name != "NextToken" {
			_, _ = fmt.Fprintf(h, "%q=%q;", name, p[name]) // fnv never fails
		}
	}
	return h.Sum64()
}
