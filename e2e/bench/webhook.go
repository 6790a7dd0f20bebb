package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/bench/cluster"
)

const reviews = 4000

// admission runs the webhook's own benchmark, which compares two servers in
// processes of their own.
func admission(ctx context.Context, b *bench) error {
	cmd := exec.CommandContext(ctx, "go", "test", "./webhook", "-run", "^$", "-bench", "^BenchmarkAdmission$", "-benchtime", strconv.Itoa(reviews)+"x")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	metrics := benchmarkMetrics(string(out))
	ratio, ok := metrics["ratio"]
	if !ok {
		return fmt.Errorf("no ratio in %q", out)
	}
	b.figure(fmt.Sprintf("CPU of ours over controller-runtime's, %d reviews", reviews), ratio, "0.6 or less")
	b.figure("CPU of ours", metrics["ours-cpu-µs/review"]+" µs", "")
	b.figure("CPU of controller-runtime's", metrics["runtime-cpu-µs/review"]+" µs", "")
	return nil
}

// benchmarkMetrics reads the "VALUE UNIT" pairs of go test's benchmark line.
func benchmarkMetrics(out string) map[string]string {
	metrics := map[string]string{}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		fields := strings.Fields(line)
		for i := 2; i+1 < len(fields); i += 2 {
			metrics[fields[i+1]] = fields[i]
		}
	}
	return metrics
}

// webhookAtRest measures the memory that two idle replicas hold.
func webhookAtRest(ctx context.Context, b *bench) error {
	dir := filepath.Join(b.dir, "cluster")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, dir, os.Stderr, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop() }()
	if err := c.Install(ctx, b.bin("webhook"), nil, "--image", "example.invalid/ipmgr:bench"); err != nil {
		return err
	}
	time.Sleep(settleTime)
	pid, err := running(b.bin("webhook"))
	if err != nil {
		return err
	}
	resident, err := memory(pid, "status", "VmRSS:")
	if err != nil {
		return err
	}
	b.figure("resident memory", fmt.Sprintf("%.1f MiB", resident), "36 MiB or less")
	return nil
}

// running finds the process that runs a program.
func running(program string) (int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == program {
			return strconv.Atoi(filepath.Base(filepath.Dir(link)))
		}
	}
	return 0, errors.New(program + " does not run")
}
