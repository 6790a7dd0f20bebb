package controller

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// Options are what an installation can choose about the controller. AWS's
// settings are the SDK's own environment variables.
type Options struct {
	Selection    vpc.Selection // whose reservations are mirrored
	SyncInterval time.Duration // between two looks at EC2
	Settle       time.Duration // how long EC2 may take to list a new reservation; no flag
	Namespace    string        // of the Lease
	OpsAddress   string        // where metrics and probes are, over plain HTTP
	Kubeconfig   string        // empty: the pod's own service account
	LogLevel     slog.Level
	Version      string // of this build
}

// shortestInterval keeps a slip of the pen from draining the account's budget.
const shortestInterval = time.Second

// optionParser collects mistakes, so that all are reported at once.
type optionParser struct {
	flags    *flag.FlagSet
	options  Options
	mistakes []error
}

// ParseOptions reads the command line, without the program's name. All
// mistakes are reported at once. namespace is the controller's own, and the
// default of --namespace. The error is flag.ErrHelp when help was asked for
// and has been written to output.
func ParseOptions(arguments []string, version, namespace string, output io.Writer) (Options, error) {
	p := &optionParser{
		flags:   flag.NewFlagSet("controller", flag.ContinueOnError),
		options: Options{SyncInterval: time.Minute, Settle: 30 * time.Second, OpsAddress: ":8080", Namespace: namespace, Version: version},
	}
	p.flags.SetOutput(output)
	p.declare()
	if err := p.flags.Parse(arguments); err != nil {
		return Options{}, err
	}
	return p.options, p.check()
}

func (p *optionParser) declare() {
	o := &p.options
	p.value("subnets", "`ids` of the subnets to look after, separated by commas", func(text string) (err error) {
		o.Selection.IDs, err = parseSubnets(text)
		return err
	})
	p.value("subnet-tag", "`KEY=VALUE` of a tag that the subnets to look after have; in place of --subnets", func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return errors.New("want KEY=VALUE")
		}
		o.Selection.TagKey, o.Selection.TagValue = key, value
		return nil
	})
	p.value("sync-interval", "`time` between two looks at EC2, give or take a tenth (default 1m)", func(text string) (err error) {
		if o.SyncInterval, err = time.ParseDuration(text); err != nil || o.SyncInterval < shortestInterval {
			return fmt.Errorf("want a duration of %s or more, such as 1m", shortestInterval)
		}
		return nil
	})
	p.value("log-level", "`level`: debug, info, warn or error (default info)", func(text string) error {
		if o.LogLevel.UnmarshalText([]byte(text)) != nil {
			return errors.New("want debug, info, warn or error")
		}
		return nil
	})
	p.flags.StringVar(&o.Namespace, "namespace", o.Namespace, "`namespace` of the Lease that elects one of the replicas")
	p.flags.StringVar(&o.OpsAddress, "ops-address", o.OpsAddress, "`host:port` of /metrics, /healthz and /readyz, over plain HTTP")
	p.flags.StringVar(&o.Kubeconfig, "kubeconfig", "", "`file` that says how to reach the API server; without it, the pod's service account is used")
}

// value declares a flag whose mistakes do not stop the parser.
func (p *optionParser) value(name, usage string, parse func(string) error) {
	p.flags.Func(name, usage, func(text string) error {
		if err := parse(text); err != nil {
			p.mistakes = append(p.mistakes, fmt.Errorf("--%s=%q: %w", name, text, err))
		}
		return nil
	})
}

// check validates what concerns more than one flag, and reports all mistakes.
func (p *optionParser) check() error {
	mistakes := p.mistakes
	given := 0
	p.flags.Visit(func(f *flag.Flag) {
		if f.Name == "subnets" || f.Name == "subnet-tag" {
			given++
		}
	})
	switch given {
	case 0:
		mistakes = append(mistakes, errors.New("--subnets or --subnet-tag is required: whose reservations to mirror"))
	case 2:
		mistakes = append(mistakes, errors.New("--subnets and --subnet-tag exclude each other"))
	}
	if p.flags.NArg() > 0 {
		mistakes = append(mistakes, fmt.Errorf("%q: the controller takes flags only", p.flags.Args()))
	}
	if p.options.Namespace == "" {
		mistakes = append(mistakes, errors.New("--namespace is required where POD_NAMESPACE is not set: the namespace of the Lease"))
	}
	return errors.Join(mistakes...)
}

func parseSubnets(text string) ([]string, error) {
	id := regexp.MustCompile(`^subnet-[0-9A-Za-z-]+$`) // as in the CRD
	var ids []string
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if !id.MatchString(item) {
			return nil, fmt.Errorf("%q: want ids such as subnet-0a1b2c3d4e5f67890", item)
		}
		ids = append(ids, item)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
