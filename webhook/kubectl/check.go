package kubectl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// checkOptions are the flags of "check".
type checkOptions struct {
	files
	clusterOptions
	reportOptions
	reservedTexts []string // --reserved
	reserved      []nad.Reservation
}

func newCheck(streams Streams) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check -f FILE",
		Short: "Check which addresses networks and pods use",
		Long: `Check which addresses NetworkAttachmentDefinitions and pods use. Without
--reserved and without ReservedCIDR objects among the files, the cluster's
ReservedCIDRs are taken. docs/rules.md explains the rules.`,
		Example: `  kubectl ipmgr check -f nads/ --reserved 10.10.1.64/26,10.10.2.64/26
  kubectl ipmgr check -f nads/ -f reserved.yaml      # ReservedCIDR objects among the files
  kubectl ipmgr check -k overlays/production --context production
  kubectl ipmgr check -f nads/ --reserved 10.10.1.64/26 -o json`,
		Args: flagsOnly,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), streams) },
	}
	o.files.declare(cmd)
	o.clusterOptions.declare(cmd)
	o.reportOptions.declare(cmd)
	cmd.Flags().StringSliceVar(&o.reservedTexts, "reserved", nil, "`CIDR,...` that are reserved for pods (explicit reservations); may be repeated")
	return cmd
}

// validate reports all mistakes in the flags at once.
func (o *checkOptions) validate() error {
	mistakes := []error{o.files.validate(), o.reportOptions.validate()}
	for _, text := range o.reservedTexts {
		r, err := nad.ParseReservation(strings.TrimSpace(text), "", "", "", "")
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("--reserved: %w", err))
		}
		o.reserved = append(o.reserved, r)
	}
	return errors.Join(mistakes...)
}

// run is the command "check".
func (o *checkOptions) run(ctx context.Context, streams Streams) error {
	if err := o.validate(); err != nil {
		return err
	}
	b, err := o.files.bundle(ctx, streams.In)
	if err != nil {
		return err
	}
	others, err := o.surroundings(ctx, b)
	if err != nil {
		return err
	}
	report, err := b.check(ctx, others)
	if err != nil {
		return err
	}
	if err := o.reportOptions.write(streams.Out, report); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if report.Failed() {
		return errFound
	}
	return nil
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
		b.networks.add(network.Object, "", network)
		b.ranges.Put(network)
	}
	checker := nad.NewChecker(b.reservations, b.ranges)
	shared := b.sharing()
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
