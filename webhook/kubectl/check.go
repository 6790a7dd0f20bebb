package kubectl

import (
	"context"
	"errors"
	"fmt"
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
	return slices.DeleteFunc(networks, func(p nad.Network) bool { return len(b.networks[p.Object]) > 0 }), err
}

// check reports on all objects in the order of the files.
func (b *bundle) check(ctx context.Context, others []nad.Network) (nad.Report, error) {
	for _, network := range others {
		b.networks[network.Object] = []defined[nad.Network]{{value: network}}
		b.ranges.Put(network)
	}
	checker := nad.NewChecker(b.reservations, b.ranges)
	shared := sharing{}
	report := nad.Report{Ranges: []nad.ObjectRange{}, Findings: []nad.Finding{}}
	for _, o := range b.objects {
		report.Findings = append(report.Findings, slices.Concat(o.findings, checkKind(o), checkKeys(o))...)
		if o.network.Object != "" {
			one, err := checker.Network(ctx, o.network)
			if err != nil {
				return report, err
			}
			report.Ranges = append(report.Ranges, one.Ranges...)
			report.Findings = append(report.Findings, one.Findings...)
		}
		found, err := b.checkPods(ctx, checker, shared, o)
		if err != nil {
			return report, err
		}
		report.Findings = append(report.Findings, found...)
	}
	return report, nil
}

// checkPods checks the pods of an object, wherever it has them.
func (b *bundle) checkPods(ctx context.Context, checker nad.Checker, shared sharing, o object) ([]nad.Finding, error) {
	templates, found := o.pods()
	for _, template := range templates {
		var pod inject.Pod
		if err := manifest.Decode(template.Raw, &pod); err != nil {
			continue // "inject" and the API server tell
		}
		if o.Kind != "Pod" {
			found = append(found, misplacedKeys(o, template, pod)...)
			found = append(found, inject.KeyFindings(inject.KindPod, o.id(), template.Field, pod.Metadata.Labels, pod.Metadata.Annotations)...)
		}
		one, err := b.checkPod(ctx, checker, shared, o, template, pod)
		if err != nil {
			return nil, err
		}
		found = append(found, one...)
	}
	return found, nil
}

// checkPod checks what a pod, or a workload's pods, ask of their networks: by
// each definition that the files may mean.
func (b *bundle) checkPod(ctx context.Context, checker nad.Checker, shared sharing, o object, template manifest.Template, pod inject.Pod) ([]nad.Finding, error) {
	selections, err := nad.Selections(o.Namespace, pod.Metadata.Annotations[nad.NetworksAnnotation])
	if err != nil {
		return []nad.Finding{nad.BadAnnotation(o.id(), template.Field, err)}, nil
	}
	var found []nad.Finding
	for variant := range b.variants(o.file, selections) {
		find := b.finder(o.file, variant)
		one, err := checker.Pod(ctx, o.id(), selections, find)
		if err != nil {
			return nil, err
		}
		for i := range one {
			one[i].Field = template.Field + one[i].Field
		}
		for _, f := range slices.Concat(one, advise(o, template, pod, selections, find), shared.judge(o, template, selections, find)) {
			if !slices.Contains(found, f) {
				found = append(found, f)
			}
		}
	}
	return found, nil
}
