// Command bench measures the figures that the project promises and prints each
// beside its bar. It judges nothing: machines are noisy, so the figures are CPU
// times, counts, and ratios within one run.
//
//	go run ./e2e/bench              all figures (make bench builds the programs first)
//	go run ./e2e/bench init burst   those whose name contains one of the words
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/controlplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/netlab"
)

func main() {
	// Inside the lab there is no way to the module proxy any more.
	if err := controlplane.Prepare(context.Background(), controlplane.Options{Progress: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	dir, err := playFailover(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	code := netlab.Run(run)
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// measurement is one group of figures that are measured together.
type measurement struct {
	name    string
	what    string
	measure func(ctx context.Context, b *bench) error
}

func measurements() []measurement {
	return []measurement{
		{"init-cpu", "ipmgr init, one ENI, TLS with the roots of the image", initCPU},
		{"init-latency", "ipmgr init, two ENIs, 100 ms for each EC2 call", initLatency},
		{"floating", "a floating address is added beside a sidecar", floating},
		{failoverName, "a floating address moves from a pod to another one on another worker, probed every 10 ms (lab)", failover},
		{"rest", "a sidecar at rest, with the roots of the image", rest},
		{"size", "what is injected into every pod", size},
		{"admission", "CPU of one admission, against a plain controller-runtime handler", admission},
		{"bounds", "CPU of admissions, by the number of NADs and at the caps", bounds},
		{"webhook", "the webhook at rest, connected to a real API server", webhookAtRest},
		{"crowd", "the webhook starts where there are 10,000 namespaces and NADs, lists are not streamed", crowd},
		{"judge", "the controller checks 10,000 NADs, 1,000 of them as long as is checked", judge},
		{"workers", "new workers get their Multus ENIs from the function, in real time (about 3 minutes)", newWorkers},
		{"burst", "1,000 pods start at once under EC2's token buckets, in real time (about 3 minutes)", thousandPods},
	}
}

func run() int { return measureAll(os.Stdout, os.Args[1:]) }

func measureAll(out io.Writer, words []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := newBench(out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	defer b.close()
	failed := 0
	_, _ = fmt.Fprintf(out, "%-52s %16s   %s\n", "figure", "measured", "bar")
	for _, m := range measurements() {
		if !selected(m.name, words) {
			continue
		}
		_, _ = fmt.Fprintf(out, "\n%s: %s\n", m.name, m.what)
		if err := m.measure(ctx, b); err != nil {
			_, _ = fmt.Fprintf(out, "  not measured: %v\n", err)
			failed++
		}
		if ctx.Err() != nil {
			return 1
		}
	}
	return min(failed, 1)
}

// selected reports whether a measurement is wanted: without words, all are.
func selected(name string, words []string) bool {
	return len(words) == 0 || slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
}

// figure prints one result.
func (b *bench) figure(name, measured, bar string) {
	_, _ = fmt.Fprintf(b.out, "  %-50s %16s   %s\n", name, measured, bar)
}
