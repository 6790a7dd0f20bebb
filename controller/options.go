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

	"github.com/multus-ipmgr/multus-ipmgr/process"
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

// ParseOptions reads the command line, without the program's name. All
// mistakes are reported at once. namespace is the controller's own, and the
// default of --namespace. The error is flag.ErrHelp when help was asked for
// and has been written to output.
func ParseOptions(arguments []string, version, namespace string, output io.Writer) (Options, error) {
	f := process.NewFlags("controller", output)
	o := Options{SyncInterval: time.Minute, Settle: 30 * time.Second, OpsAddress: ":8080", Namespace: namespace, Version: version}
	o.declare(f)
	if err := f.Parse(arguments); err != nil {
		return Options{}, err
	}
	o.check(f)
	return o, f.Mistakes()
}

func (o *Options) declare(f *process.Flags) {
	f.Value("subnets", "`ids` of the subnets to look after, separated by commas", func(text string) (err error) {
		o.Selection.IDs, err = parseSubnets(text)
		return err
	})
	f.Value("subnet-tag", "`KEY=VALUE` of a tag that the subnets to look after have; in place of --subnets", func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return errors.New("want KEY=VALUE")
		}
		o.Selection.TagKey, o.Selection.TagValue = key, value
		return nil
	})
	f.Duration(&o.SyncInterval, shortestInterval, "sync-interval", "`time` between two looks at EC2, give or take a tenth (default 1m)",
		fmt.Sprintf("a duration of %s or more, such as 1m", shortestInterval))
	f.LogLevel(&o.LogLevel)
	f.StringVar(&o.Namespace, "namespace", o.Namespace, "`namespace` of the Lease that elects one of the replicas")
	f.StringVar(&o.OpsAddress, "ops-address", o.OpsAddress, "`host:port` of /metrics, /healthz and /readyz, over plain HTTP")
	f.Kubeconfig(&o.Kubeconfig)
}

// check validates what concerns more than one flag.
func (o *Options) check(f *process.Flags) {
	given := 0
	f.Visit(func(one *flag.Flag) {
		if one.Name == "subnets" || one.Name == "subnet-tag" {
			given++
		}
	})
	switch given {
	case 0:
		f.Mistake(errors.New("--subnets or --subnet-tag is required: whose reservations to mirror"))
	case 2:
		f.Mistake(errors.New("--subnets and --subnet-tag exclude each other"))
	}
	if o.Namespace == "" {
		f.Mistake(errors.New("--namespace is required where POD_NAMESPACE is not set: the namespace of the Lease"))
	}
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
