package lambdasim

import "testing"

func TestWhatIsKeptIsBounded(t *testing.T) {
	var list []int
	for i := range 3 * MaxKept {
		list = keep(list, i)
		if len(list) > MaxKept {
			t.Fatalf("%d are kept, want at most %d", len(list), MaxKept)
		}
	}
	if last := list[len(list)-1]; last != 3*MaxKept-1 {
		t.Errorf("the last one is %d", last)
	}
}
