package world

import (
	"fmt"
	"slices"
	"testing"
)

func TestOrderedKeepsTheOrderWhileThingsGo(t *testing.T) {
	var o ordered[int]
	for i := range 100 {
		o.set(fmt.Sprint(i), i)
	}
	for i := range 100 {
		if i%10 != 0 {
			o.remove(fmt.Sprint(i))
		}
	}
	o.set("new", 1000)
	o.set("20", 21)
	if got, want := o.list(), []int{0, 10, 21, 30, 40, 50, 60, 70, 80, 90, 1000}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	o.removeOldest(3)
	if got, want := o.list(), []int{30, 40, 50, 60, 70, 80, 90, 1000}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(o.keys) > 2*len(o.value)+16 {
		t.Errorf("%d keys for %d values", len(o.keys), len(o.value))
	}
}

func TestClientTokensAreBounded(t *testing.T) {
	w := &World{}
	for i := range 3 * maxTokens / 2 {
		token := fmt.Sprint("token-", i)
		w.remember(CreateENI{Token: &token}, "eni-1")
	}
	_, first := w.created.value["token-0"]
	_, last := w.created.value[fmt.Sprint("token-", 3*maxTokens/2-1)]
	if n := len(w.created.value); n > maxTokens || first || !last {
		t.Errorf("%d tokens are kept, the first %v, the last %v; want at most %d, the latest ones", n, first, last, maxTokens)
	}
}
