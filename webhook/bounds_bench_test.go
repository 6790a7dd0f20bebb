package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

// busy is a cluster with many networks in its caches.
type busy struct {
	*memory
	networks map[string]nad.Network
	ranges   *nad.Index
}

func (c *busy) CachedNAD(namespace, name string) (nad.Network, bool) {
	network, found := c.networks[namespace+"/"+name]
	return network, found
}

func (c *busy) Ranges() *nad.Index { return c.ranges }

// newBusy makes n networks: one in ten is a copy of one NAD in another
// namespace, and the others have ranges of their own.
func newBusy(tb testing.TB, n int) *busy {
	tb.Helper()
	c := &busy{memory: &memory{}, networks: map[string]nad.Network{}, ranges: nad.NewIndex()}
	for i := range n {
		d := nad.Definition{Namespace: fmt.Sprintf("ns%d", i), Name: "net", Config: ranged(fmt.Sprintf("10.%d.%d.16/28", 100+i>>8, i&255))}
		if i%10 == 0 {
			d.Config = ranged("10.10.1.64/26")
		}
		network := nad.Read(d)
		c.networks[d.Object()] = network
		c.ranges.Put(network)
	}
	c.networks["apps/fixed"] = nad.Read(nad.Definition{Namespace: "apps", Name: "fixed", Config: `{"cniVersion":"1.0.0","type":"ipvlan","master":"eth1","capabilities":{"ips":true},"ipam":{"type":"static"}}`})
	for i := range 200 {
		c.reservations = append(c.reservations, reservationIn(tb, i))
	}
	return c
}

// reservationIn reserves the second quarter of the i-th subnet.
func reservationIn(tb testing.TB, i int) nad.Reservation {
	tb.Helper()
	r, err := nad.ParseReservation(fmt.Sprintf("10.10.%d.64/26", i), "explicit", fmt.Sprintf("subnet-%d", i), fmt.Sprintf("10.10.%d.0/24", i), "us-west-2a")
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// BenchmarkBounds reports what the caps promise, in processor time: that an
// admission does not cost more where there are more networks, and what the worst
// review and the worst NAD cost that pass all caps.
func BenchmarkBounds(b *testing.B) {
	for b.Loop() { // all is measured below: the loop forgets what was reported before
	}
	plain := []byte(reviewOf("apps", podOf("ns0/net")))
	static := []byte(reviewOf("apps", podOf(`[{"name":"fixed","ips":["10.10.1.70/24"]}]`)))
	own := nad.Definition{Namespace: "apps", Name: "own", Config: ranged("10.10.1.70-10.10.1.79/24")}
	cost := map[string][]time.Duration{}
	var largest *busy
	var h http.Handler
	for _, n := range []int{10, 1000, 10_000} {
		c := newBusy(b, n)
		largest = c
		h = review.New(c, benchPolicy(), discard())
		cost["plain"] = append(cost["plain"], processorTime(2000, func() { answered(b, h, plain) }))
		cost["static"] = append(cost["static"], processorTime(2000, func() { answered(b, h, static) }))
		cost["nad"] = append(cost["nad"], processorTime(1000, func() { checkedBy(b, c, own) }))
	}
	for name, at := range cost {
		b.ReportMetric(float64(at[0].Nanoseconds())/1000, name+"-10-µs")
		b.ReportMetric(float64(at[1])/float64(at[0]), name+"-1000/10")
		b.ReportMetric(float64(at[2])/float64(at[0]), name+"-10000/10")
	}
	b.ReportMetric(worst(b, reviewsThatPass(), func(_ string, body []byte) { answered(b, h, body) }), "review-ms")
	b.ReportMetric(worst(b, nadsThatPass(), func(name string, config []byte) {
		checkedBy(b, largest, nad.Definition{Namespace: "apps", Name: name, Config: string(config)})
	}), "nad-ms")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what one call costs of this process's processor time.
func processorTime(times int, call func()) time.Duration {
	call() // warm up
	before := used()
	for range times {
		call()
	}
	return (used() - before) / time.Duration(times)
}

func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// answered answers a review as the server does, but for the network.
func answered(tb testing.TB, h http.Handler, body []byte) {
	tb.Helper()
	if answer := ask(tb.Context(), h, review.PodPath, string(body)); answer.Code != http.StatusOK {
		tb.Fatal(answer.Body)
	}
}

// ask sends a review to a handler.
func ask(ctx context.Context, h http.Handler, path, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	return answer
}

func checkedBy(tb testing.TB, c review.Cluster, d nad.Definition) {
	tb.Helper()
	report, err := nad.NewChecker(c.Reservations(tb.Context(), false), c.Ranges()).NAD(tb.Context(), d)
	if err != nil {
		tb.Fatal(err)
	}
	if slices.ContainsFunc(report.Findings, func(f nad.Finding) bool { return f.Rule == nad.TooLarge }) {
		tb.Fatalf("%s does not pass the caps: %v", d.Name, report.Findings)
	}
}

// worst is the highest cost in milliseconds, and logs all.
func worst(b *testing.B, inputs map[string]string, call func(name string, input []byte)) float64 {
	b.Helper()
	most := 0.0
	var lines strings.Builder
	for name, text := range inputs {
		input := []byte(text)
		took := processorTime(5, func() { call(name, input) })
		ms := float64(took.Microseconds()) / 1000
		fmt.Fprintf(&lines, "\n%8.2f ms %s (%d bytes)", ms, name, len(input))
		most = max(most, ms)
	}
	b.Log(lines.String())
	return most
}

func commas(n int, text func(i int) string) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = text(i)
	}
	return strings.Join(texts, ",")
}

// reviewsThatPass are the most expensive reviews that pass the caps.
func reviewsThatPass() map[string]string {
	addresses := commas(nad.MaxNetworks, func(i int) string {
		return fmt.Sprintf(`{"name":"fixed","interface":"i%d","ips":[%s],"cni-args":{"ips":[%s]}}`, i,
			commas(nad.MaxIPs, func(j int) string { return fmt.Sprintf(`"10.10.%d.%d/23"`, i, j) }),
			commas(nad.MaxIPs, func(j int) string { return fmt.Sprintf(`"10.10.%d.%d/25"`, i, 128+j) }))
	})
	container := `{"name":"c%d","resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"1000m","memory":"1024Mi"}}}`
	big := func(containers int, affinity string) string {
		return fmt.Sprintf(`{"metadata":{"name":"upf","annotations":{%q:"ns0/net"}},"spec":{"affinity":{%s},"containers":[%s]}}`, nad.NetworksAnnotation, affinity,
			commas(containers, func(i int) string { return fmt.Sprintf(container, i) }))
	}
	terms := func(n int) string {
		return `"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[` +
			commas(n, func(i int) string {
				return fmt.Sprintf(`{"matchExpressions":[{"key":"k","operator":"In","values":["%d"]}]}`, i)
			}) + `]}}`
	}
	reviews := map[string]string{}
	for name, pod := range map[string]string{
		"as many addresses as there may be": podOf("[" + addresses + "]"),
		"as many networks as there may be":  podOf(commas(nad.MaxNetworks, func(i int) string { return fmt.Sprintf("missing%d", i) })),
		"one long name":                     podOf(strings.Repeat("a", nad.MaxAnnotation)),
		"many empty objects":                podOf("[" + strings.Repeat("{},", nad.MaxAnnotation/3-1) + "{}]"),
		"a pod of many containers":          big(350, ""),
		"a pod of many terms":               big(1, terms(400)),
	} {
		reviews[name] = reviewOf("apps", pod)
	}
	return reviews
}

// nadsThatPass are the most expensive configurations that pass the caps.
func nadsThatPass() map[string]string {
	ipvlan := func(ipam string) string {
		return `{"cniVersion":"1.0.0","type":"ipvlan","master":"eth1","ipam":` + ipam + `}`
	}
	exclude := func(n int, format string) string {
		return `"exclude":[` + commas(n, func(i int) string { return fmt.Sprintf(format, 2*i>>8, 2*i&255) }) + `]`
	}
	keys := func(n int, format string) string {
		return commas(n, func(i int) string { return fmt.Sprintf(format, i) })
	}
	wide := `{"type":"whereabouts","range":"10.0.0.0/8",` + exclude(nad.MaxExclusions, `"10.10.%d.%d/32"`) + `}`
	return map[string]string{
		"exclusions":         ipvlan(wide),
		"exclusions of IPv6": ipvlan(`{"type":"whereabouts","range":"fd00::/64",` + exclude(nad.MaxExclusions, `"fd00::%x:%x:0:1/128"`) + `}`),
		"ranges": ipvlan(`{"type":"whereabouts","ipRanges":[` + commas(nad.MaxRanges, func(i int) string {
			return fmt.Sprintf(`{"range":"10.%d.0.0/16",%s}`, i, exclude(nad.MaxExclusions/nad.MaxRanges, fmt.Sprintf(`"10.%d.%%d.%%d/32"`, i)))
		}) + `]}`),
		"ranges of host-local": ipvlan(`{"type":"host-local","ranges":[` + commas(nad.MaxRanges, func(i int) string { return fmt.Sprintf(`[{"subnet":"10.10.%d.0/24"}]`, i) }) + `]}`),
		"static addresses":     ipvlan(`{"type":"static","addresses":[` + commas(nad.MaxAddresses, func(i int) string { return fmt.Sprintf(`{"address":"10.10.%d.5/16","gateway":"10.10.9.9"}`, i) }) + `]}`),
		"plugins": `{"cniVersion":"1.0.0","plugins":[` + commas(nad.MaxPlugins, func(i int) string {
			return ipvlan(fmt.Sprintf(`{"type":"whereabouts","range":"10.10.%d.0/24",%s}`, i, exclude(nad.MaxExclusions/nad.MaxPlugins, fmt.Sprintf(`"10.10.%d.%%d%%d/32"`, i))))
		}) + `]}`,
		"strange keys":            ipvlan(`{"type":"whereabouts","range":"10.10.1.64/26",` + keys(8000, `"k%d":1`) + `}`),
		"strange keys in objects": ipvlan(`{"type":"whereabouts","ipRanges":[` + commas(100, func(int) string { return `{"range":"x",` + keys(80, `"excluded%d":1`) + `}` }) + `]}`),
		"strange keys in plugins": `{"cniVersion":"1.0.0","plugins":[` + commas(nad.MaxPlugins, func(int) string {
			return `{"type":"ipvlan",` + keys(60, `"masterOfThePuppetsAndOfTheUniverse%d":1`) + `,"ipam":{"type":"whereabouts",` + keys(30, `"rangeOfTheUniverseAndOfAll%d":1`) + `}}`
		}) + `]}`,
		"deep nesting":  ipvlan(`{"type":"whereabouts","range":"10.10.1.64/26","x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`),
		"wrong types":   ipvlan(`{"type":"whereabouts","range":"10.10.1.64/26","exclude":[` + commas(20_000, func(int) string { return `"x"` }) + `,7]}`),
		"one long text": ipvlan(`{"type":"whereabouts","range":"` + strings.Repeat("1", nad.MaxConfig-200) + `"}`),
	}
}
