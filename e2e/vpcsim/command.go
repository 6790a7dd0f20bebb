package vpcsim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// Exit codes of the program.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Command is the program vpcsim: it serves until ctx ends and returns the exit
// code. 2 means bad usage or a bad topology, 1 that an address could not be
// opened.
func Command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	file, addresses, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return fail(stderr, err, exitUsage)
	}
	t, err := load(file, stdin)
	if err != nil {
		return fail(stderr, err, exitUsage)
	}
	sim, err := New(t, Options{})
	if err != nil {
		return fail(stderr, err, exitUsage)
	}
	for _, m := range addresses.IMDS {
		if _, err := sim.IMDS(m.Instance, PodHops); err != nil {
			return fail(stderr, fmt.Errorf("--imds %s=%s: no such instance in %s", m.Instance, m.Address, file), exitUsage)
		}
	}
	srv, err := sim.Listen(ctx, addresses)
	if err != nil {
		return fail(stderr, err, exitFailed)
	}
	if _, err := fmt.Fprintln(stdout, srv.Ready(addresses.IMDS)); err != nil {
		return fail(stderr, errors.Join(err, srv.Close()), exitFailed)
	}
	<-ctx.Done()
	if err := srv.Close(); err != nil {
		return fail(stderr, err, exitFailed)
	}
	return exitOK
}

func fail(stderr io.Writer, err error, code int) int {
	_, _ = fmt.Fprintf(stderr, "vpcsim: %s\n", err) // the exit code says it too
	return code
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (file string, a Addresses, err error) {
	fs := flag.NewFlagSet("vpcsim", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&file, "topology", "", "topology `FILE` (YAML), or - for standard input; required")
	fs.StringVar(&a.EC2, "ec2", "127.0.0.1:0", "`ADDR` of the EC2 API; port 0 picks a free one")
	fs.StringVar(&a.AutoScaling, "autoscaling", "", "`ADDR` of the Auto Scaling API; none by default")
	fs.StringVar(&a.Events, "events", "", "`URL` to which each event of Auto Scaling is posted, as JSON")
	fs.StringVar(&a.Control, "control", "127.0.0.1:0", "`ADDR` of the control API")
	fs.StringVar(&a.Wire, "wire", "", "`DIR` in which each ENI gets a socket ENI.sock (unixpacket, one Ethernet frame per message)")
	fs.Func("imds", "`INSTANCE=ADDR` of an instance's metadata service as its pods see it; may be repeated",
		func(text string) error {
			instance, address, ok := strings.Cut(text, "=")
			if !ok || instance == "" || address == "" {
				return errors.New("want INSTANCE=ADDR")
			}
			a.IMDS = append(a.IMDS, IMDSAddress{instance, address})
			return nil
		})
	if err := fs.Parse(args); err != nil {
		return "", Addresses{}, err
	}
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case file == "":
		err = errors.New("--topology is required")
	case a.EC2 == "" || a.Control == "":
		err = errors.New("--ec2 and --control need an address")
	}
	return file, a, err
}

func load(file string, stdin io.Reader) (Topology, error) {
	if file == "-" {
		return Load(stdin)
	}
	f, err := os.Open(file)
	if err != nil {
		return Topology{}, err
	}
	defer f.Close()
	t, err := Load(f)
	if err != nil {
		return Topology{}, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}
