package kubectl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

const aboutCheck = `kubectl ipmgr check checks which addresses NetworkAttachmentDefinitions and pods use.
Without --reserved and without ReservedCIDR objects among the files, the
cluster's ReservedCIDRs are taken. docs/rules.md explains the rules.`

// checkOptions are the flags of "check".
type checkOptions struct {
	files
	clusterOptions
	reserved []nad.Reservation
	output   string
}

func parseCheck(arguments []string, streams Streams) (checkOptions, error) {
	var o checkOptions
	flags := newFlags("check")
	o.files.declare(flags)
	o.clusterOptions.declare(flags)
	flags.Func("reserved", "`CIDR,...` that are reserved for pods (explicit reservations); may be repeated", o.reserve)
	flags.StringVar(&o.output, "o", "table", "`format` of the report: table, json or yaml")
	flags.StringVar(&o.output, "output", "table", "the same as -o")
	if err := parse(flags, aboutCheck, arguments, streams); err != nil {
		return o, err
	}
	if _, known := printers()[o.output]; !known {
		return o, fmt.Errorf("-o %s: want table, json or yaml", o.output)
	}
	return o, nil
}

func (o *checkOptions) reserve(text string) error {
	for item := range strings.SplitSeq(text, ",") {
		r, err := nad.ParseReservation(strings.TrimSpace(item), "", "", "", "")
		if err != nil {
			return err
		}
		o.reserved = append(o.reserved, r)
	}
	return nil
}

// check is the command "check".
func check(ctx context.Context, arguments []string, streams Streams) (int, error) {
	options, err := parseCheck(arguments, streams)
	if err != nil {
		return 0, err
	}
	documents, err := options.files.read(streams.In)
	if err != nil {
		return 0, err
	}
	b, err := newBundle(documents, options.namespace)
	if err != nil {
		return 0, err
	}
	others, err := options.surroundings(ctx, b)
	if err != nil {
		return 0, err
	}
	report, err := b.check(ctx, others)
	if err != nil {
		return 0, err
	}
	if err := printers()[options.output](streams.Out, report); err != nil {
		return 0, fmt.Errorf("writing the report: %w", err)
	}
	if report.Failed() {
		return exitFound, nil
	}
	return exitOK, nil
}

// surroundings completes what is reserved, and returns the cluster's NADs that
// are not among the files. The cluster is asked only if it was named, or if
// nothing else says what is reserved; --reserved goes before what it says.
func (o *checkOptions) surroundings(ctx context.Context, b *bundle) ([]nad.Network, error) {
	b.reservations = append(b.reservations, o.reserved...)
	if !o.named() && len(b.reservations) > 0 {
		return nil, nil
	}
	reservations, networks, err := o.clusterOptions.read(ctx)
	if errors.Is(err, errNoCluster) && !o.named() {
		return nil, nil // the report says that nothing is reserved
	}
	if len(o.reserved) == 0 {
		b.reservations = append(b.reservations, reservations...)
	}
	return slices.DeleteFunc(networks, func(p nad.Network) bool { return b.networks[p.Object].Object != "" }), err
}

// check reports on all objects in the order of the files.
func (b *bundle) check(ctx context.Context, others []nad.Network) (nad.Report, error) {
	known := maps.Clone(b.networks)
	for _, network := range others {
		known[network.Object] = network
	}
	find := func(namespace, name string) (nad.Network, bool) {
		network, found := known[namespace+"/"+name]
		return network, found
	}
	checker := nad.NewChecker(b.reservations, nad.NewIndex(slices.Collect(maps.Values(known))...))
	report := nad.Report{Ranges: []nad.ObjectRange{}, Findings: slices.Concat([]nad.Finding{}, b.findings)}
	for _, o := range b.objects {
		if o.Kind == "NetworkAttachmentDefinition" {
			one, err := checker.Network(ctx, b.networks[o.id()])
			if err != nil {
				return report, err
			}
			report.Ranges = append(report.Ranges, one.Ranges...)
			report.Findings = append(report.Findings, one.Findings...)
			continue
		}
		if template, ok := o.Template(); ok {
			found, err := checkPod(ctx, checker, find, o, template)
			if err != nil {
				return report, err
			}
			report.Findings = append(report.Findings, found...)
		}
	}
	return report, nil
}

// checkPod checks the static addresses of a pod or of a workload's pods.
func checkPod(ctx context.Context, checker nad.Checker, find inject.FindNAD, o object, template manifest.Template) ([]nad.Finding, error) {
	var pod inject.Pod
	if err := manifest.Decode(template.Raw, &pod); err != nil {
		return nil, nil // "inject" and the API server tell
	}
	selections, err := nad.Selections(o.Namespace, pod.Metadata.Annotations[nad.NetworksAnnotation])
	if err != nil {
		return []nad.Finding{nad.BadAnnotation(o.id(), template.Field, err)}, nil
	}
	findings, err := checker.Pod(ctx, o.id(), selections, find)
	for i := range findings {
		findings[i].Field = template.Field + findings[i].Field
	}
	return findings, err
}
