package world

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
)

// maxTokens is how many client tokens are remembered. Of more, the older half is
// forgotten; how long EC2 remembers them is unknown.
const maxTokens = 100_000

// creation is what a client token stands for. eni is "" for a request that was
// refused.
type creation struct{ token, request, eni string }

// repeated returns the ENI that a request with the same token has created, or
// nil. Tokens are case-sensitive, but tokens that differ only in case replace each other.
func (w *World) repeated(r CreateENI) (*ENI, error) {
	if r.Token == nil {
		return nil, nil
	}
	token := strings.TrimSpace(*r.Token)
	if token == "" {
		return nil, apierr.New("InternalError", "An internal error has occurred")
	}
	first, again := w.created.value[strings.ToLower(token)]
	switch {
	case !again:
		return nil, nil
	case first.token != token:
		return nil, mismatch("Idempotency token %s is not valid for resource interface-%s", strings.ToLower(token), first.resource())
	case first.request != r.fingerprint():
		return nil, mismatch("Wrong arguments for token: %s", token)
	case first.eni == "":
		return nil, nil
	}
	e, err := w.find(first.eni)
	if err != nil {
		return nil, mismatch("The request with token: %s is stale", token)
	}
	e = e.clone()
	e.Tags = maps.Clone(r.Tags)
	return e, nil
}

func mismatch(format string, args ...any) error {
	return apierr.New("IdempotentParameterMismatch", format, args...)
}

// remember binds the token of a request to what it created.
func (w *World) remember(r CreateENI, eni string) {
	if r.Token == nil {
		return
	}
	token := strings.TrimSpace(*r.Token)
	key := strings.ToLower(token)
	if _, known := w.created.value[key]; !known && len(w.created.value) == maxTokens {
		w.created.removeOldest(maxTokens / 2)
	}
	w.created.set(key, creation{token: token, request: r.fingerprint(), eni: eni})
}

// refused binds the token of a request that was refused for an address in use,
// where the settings say so.
func (w *World) refused(r CreateENI, err error) {
	var why *apierr.Error
	if r.Token == nil || !w.settings.Get().RefusedCreateBindsToken || !errors.As(err, &why) || why.Code != "InvalidIPAddress.InUse" {
		return
	}
	if _, bound := w.created.value[strings.ToLower(strings.TrimSpace(*r.Token))]; !bound {
		w.remember(r, "")
	}
}

// resource is EC2's name for what a token made; its form is unknown.
func (c creation) resource() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.eni)) // fnv never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

// fingerprint is what a repeat must have in common with the first request:
// everything but tags. The order of groups does not matter.
func (r CreateENI) fingerprint() string {
	counts := []any{}
	for _, n := range []*int{r.IPv4.Count, r.IPv4.PrefixCount, r.IPv6.Count, r.IPv6.PrefixCount} {
		if n == nil { // pointers would make equal requests differ
			counts = append(counts, "-")
			continue
		}
		counts = append(counts, *n)
	}
	return fmt.Sprintf("%q %q %q %q %q %q %q %t %q %v", r.Subnet, r.Description, r.Primary, r.IPv4.Addresses, r.IPv4.Prefixes,
		r.IPv6.Addresses, r.IPv6.Prefixes, r.PrimaryIPv6, slices.Sorted(slices.Values(r.Groups)), counts)
}
