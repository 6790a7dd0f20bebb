package nad_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// BenchmarkRanges shows how the arithmetic of ranges grows: with n, 2n and 4n
// ranges, in no order, the time per range stays nearly the same.
//
//	go test ./webhook/nad -run '^$' -bench Ranges
func BenchmarkRanges(b *testing.B) {
	for _, n := range []int{10_000, 20_000, 40_000} {
		x, y := scattered(n, 0), scattered(n, 4)
		for name, operation := range map[string]func(){
			"union":     func() { nad.Union(x) },
			"subtract":  func() { nad.Subtract(x, y) },
			"intersect": func() { nad.Intersect(x, y) },
			"covering":  func() { nad.Covering(x, reservationsOf(y[:n/10])) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					operation()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/range")
			})
		}
	}
}

// BenchmarkIndex shows that neither a change of a NAD nor a question costs more
// where there are more of them.
func BenchmarkIndex(b *testing.B) {
	own := nad.Read(nad.Definition{Namespace: "ns", Name: "own", Config: with(`"range":"10.0.1.70-10.0.1.79/24"`)})
	for _, n := range []int{2500, 5000, 10_000} {
		index := nad.NewIndex()
		for i := range n {
			index.Put(nad.Read(nad.Definition{Namespace: fmt.Sprintf("ns%d", i), Name: "net", Config: with(fmt.Sprintf(`"range":"10.%d.%d.0/24"`, i>>8, i&255))}))
		}
		b.Run(fmt.Sprintf("put/%d", n), func(b *testing.B) {
			for b.Loop() {
				index.Put(own)
				index.Delete(own.Object)
			}
		})
		b.Run(fmt.Sprintf("check/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := nad.NewChecker(nil, index).Network(b.Context(), own); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// scattered are ranges of four addresses in a random order, each a multiple of
// eight and shift addresses from the first.
func scattered(n, shift int) []nad.Range {
	ranges := make([]nad.Range, n)
	for to, i := range rand.New(rand.NewPCG(1, uint64(n))).Perm(n) {
		a := i*8 + shift/2
		address := func(a int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(a >> 16), byte(a >> 8), byte(a)}) }
		ranges[to] = nad.Range{First: address(a), Last: address(a + 3)}
	}
	return ranges
}

func reservationsOf(ranges []nad.Range) []nad.Reservation {
	list := make([]nad.Reservation, len(ranges))
	for i, r := range ranges {
		list[i] = nad.Reservation{CIDR: netip.PrefixFrom(r.First, 30).Masked(), Type: nad.Explicit}
	}
	return list
}
