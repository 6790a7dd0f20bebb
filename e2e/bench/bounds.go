package main

import (
	"context"
	"fmt"
	"os/exec"
)

// bounds runs the webhook's benchmark of its caps: whether an admission costs
// more where there are more networks, and what the worst inputs cost.
func bounds(ctx context.Context, b *bench) error {
	cmd := exec.CommandContext(ctx, "go", "test", "./webhook", "-run", "^$", "-bench", "^BenchmarkBounds$", "-benchtime", "1x")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	metrics := benchmarkMetrics(string(out))
	for _, f := range []struct{ metric, unit, name, bar string }{
		{"plain-10-µs", " µs", "a pod without static ips, 10 NADs", ""},
		{"plain-1000/10", "", "the same with 1,000 over 10", "about 1"},
		{"plain-10000/10", "", "the same with 10,000 over 10", "about 1"},
		{"static-10-µs", " µs", "a pod with static ips, 10 NADs", ""},
		{"static-1000/10", "", "the same with 1,000 over 10", "about 1"},
		{"static-10000/10", "", "the same with 10,000 over 10", "about 1"},
		{"nad-10-µs", " µs", "a NAD, 10 others", ""},
		{"nad-1000/10", "", "the same with 1,000 over 10", "about 1"},
		{"nad-10000/10", "", "the same with 10,000 over 10", "about 1"},
		{"review-ms", " ms", "the worst review that passes the caps", "50 ms or less"},
		{"nad-ms", " ms", "the worst NAD that passes the caps", "100 ms or less"},
	} {
		value, ok := metrics[f.metric]
		if !ok {
			return fmt.Errorf("no %s in %q", f.metric, out)
		}
		b.figure(f.name, value+f.unit, f.bar)
	}
	return nil
}
