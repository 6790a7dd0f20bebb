package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// failover is measured with kernels of their own, in the lab, before all else:
// workers are not started in the namespaces in which the other figures are
// measured. What the lab found waits for its turn in a directory.
const failoverName = "failover"

const (
	// failoverKey names that directory to the run inside of the namespaces.
	failoverKey = "MULTUS_IPMGR_BENCH_FAILOVER"
	movesFile   = "moves"
	reasonFile  = "reason" // why there are none

	labTimeout    = "60m" // the first time, it builds the kubelet and its like
	labScenario   = "^TestAFloatingAddressMovesBetweenWorkers$/^as_planned$"
	labFiguresKey = "LAB_FIGURES"
)

// move is the scenario's report of one move of a floating address.
type move struct {
	IPv6   bool          `json:"ipv6"`
	Lost   time.Duration `json:"lost"`
	Ours   time.Duration `json:"ours"`
	EC2    time.Duration `json:"ec2"`
	Beyond time.Duration `json:"beyond"`
}

// playFailover lets the lab play its scenario, if that was asked for, and
// leaves the outcome in a directory, which the caller removes.
func playFailover(ctx context.Context, words []string) (dir string, err error) {
	if os.Getenv(failoverKey) != "" || !selected(failoverName, words) {
		return "", nil
	}
	if dir, err = os.MkdirTemp("", "multus-ipmgr-bench-"); err != nil {
		return "", err
	}
	if hasLab() {
		fmt.Fprintln(os.Stderr, "bench: failover: playing it in the lab, a minute or two")
		if failed := playLab(ctx, filepath.Join(dir, movesFile)); failed != nil {
			reason := "the lab's scenario, see above: " + failed.Error()
			err = os.WriteFile(filepath.Join(dir, reasonFile), []byte(reason), 0o600)
		}
	}
	return dir, errors.Join(err, os.Setenv(failoverKey, dir))
}

// hasLab reports whether the programs of Debian's packages are there.
func hasLab() bool {
	for _, program := range []string{"linux.uml", "runc"} {
		_, err1 := exec.LookPath(program)
		_, err2 := exec.LookPath(filepath.Join("/usr/sbin", program))
		if err1 != nil && err2 != nil {
			return false
		}
	}
	return true
}

// playLab plays the scenario, which writes its figures into a file.
func playLab(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-C", "e2e/lab", "-tags", "lab", "-count=1", "-timeout", labTimeout, "-v", "-run", labScenario, "./scenario")
	cmd.Env = append(os.Environ(), labFiguresKey+"="+file)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// failover measures what a floating address loses while it moves between two
// workers.
func failover(_ context.Context, b *bench) error {
	if !hasLab() {
		_, _ = fmt.Fprintln(b.out, "  not measured: it needs the lab: sudo apt-get install user-mode-linux runc")
		return nil
	}
	dir := os.Getenv(failoverKey)
	if reason, err := os.ReadFile(filepath.Join(dir, reasonFile)); err == nil {
		return errors.New(string(reason))
	}
	moves, err := readMoves(filepath.Join(dir, movesFile))
	if err != nil {
		return err
	}
	return errors.Join(b.moved("IPv4", moves, false), b.moved("IPv6", moves, true))
}

// moved prints the figures of one family.
func (b *bench) moved(family string, moves []move, ipv6 bool) error {
	var lost, ours, beyond []time.Duration
	var ec2 time.Duration
	for _, m := range moves {
		if m.IPv6 == ipv6 {
			lost, ours, beyond, ec2 = append(lost, m.Lost), append(ours, m.Ours), append(beyond, m.Beyond), m.EC2
		}
	}
	if len(lost) == 0 {
		return errors.New("the lab moved no address of " + family)
	}
	b.figure(fmt.Sprintf("%s, without an answer, median of %d", family, len(lost)), milliseconds(percentile(lost, 50)), "")
	b.figure("    of that EC2's own time, as set", milliseconds(ec2), "")
	b.figure("    beyond it", milliseconds(percentile(beyond, 50)), "50 ms")
	b.figure("    command to add the address to Assign received", milliseconds(percentile(ours, 50)), "")
	return nil
}

func readMoves(name string) (moves []move, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	for decoder := json.NewDecoder(file); ; {
		var m move
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return moves, nil
		} else if err != nil {
			return nil, fmt.Errorf("figures of the lab: %w", err)
		}
		moves = append(moves, m)
	}
}
