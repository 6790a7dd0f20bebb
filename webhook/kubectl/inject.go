package kubectl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// defaultImage is the image of the installation's own manifests.
const defaultImage = "multus-ipmgr/ipmgr:v0.1.0"

// injectOptions are the flags of "inject".
type injectOptions struct {
	files
	explain bool
	enabled bool
	style   string
	env     []string
	policy  inject.Policy
}

func newInject(version string, streams Streams) *cobra.Command {
	o := &injectOptions{policy: inject.DefaultPolicy()}
	o.policy.Version = version
	cmd := &cobra.Command{
		Use:   "inject -f FILE",
		Short: "Print manifests as the webhook would change them",
		Long: `Print manifests as the webhook would change them: pods, and what workloads make
pods of. Networks, namespaces and ReservedCIDRs are looked up among the files.`,
		Example: `  kubectl ipmgr inject -f app.yaml                 # as the webhook would change it
  kubectl ipmgr inject -f app.yaml --explain       # and why, in comments
  kubectl ipmgr inject -f app.yaml | kubectl apply -f -`,
		Args: flagsOnly,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), streams) },
	}
	o.files.declare(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.explain, "explain", false, "say of each pod, in a comment before its document, what was decided and why")
	flags.BoolVar(&o.enabled, "enabled", true, "take namespaces that are not among the files to have opted in")
	flags.StringVar(&o.policy.Image, "image", defaultImage, "`image` of the injected container")
	flags.StringVar(&o.style, "sidecar-style", string(inject.Native), "`style` of sidecars: native or container")
	flags.StringArrayVar(&o.env, "env", nil, "`NAME=VALUE` for the injected container, as the webhook's flag of that name; may be repeated")
	complete(cmd, "sidecar-style", string(inject.Native), string(inject.Plain))
	return cmd
}

// validate reports all mistakes in the flags at once.
func (o *injectOptions) validate() error {
	o.policy.Style = inject.SidecarStyle(o.style)
	var mistakes []error
	if !slices.Contains([]inject.SidecarStyle{inject.Native, inject.Plain}, o.policy.Style) {
		mistakes = append(mistakes, fmt.Errorf("--sidecar-style %s: want %q or %q", o.style, inject.Native, inject.Plain))
	}
	var settings []string // IPMGR_* entries
	for _, text := range o.env {
		env, setting, err := inject.AddEnv(o.policy.Env, text)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("--env %s: %w", text, err))
			continue
		}
		if o.policy.Env = env; setting {
			settings = append(settings, text)
		}
	}
	var err error
	if o.policy.Settings, err = spec.Parse(settings); err != nil {
		mistakes = append(mistakes, fmt.Errorf("--env: %w", err))
	}
	return errors.Join(append(mistakes, o.files.validate())...)
}

// run is the command "inject".
func (o *injectOptions) run(ctx context.Context, streams Streams) error {
	if err := o.validate(); err != nil {
		return err
	}
	b, err := o.files.bundle(ctx, streams.In)
	if err != nil {
		return err
	}
	denied, err := o.inject(ctx, b, streams.Err)
	if err != nil {
		return err
	}
	if err := manifest.Write(streams.Out, b.documents); err != nil {
		return fmt.Errorf("writing the manifests: %w", err)
	}
	if denied {
		return errFound
	}
	return nil
}

// changes are what is to be done to the documents, by their places in the
// bundle. A document is read and written once, however many pods it has.
type changes struct {
	notes      map[int][]string // what is to be explained
	operations map[int][]inject.Operation
}

// inject changes the bundle's documents. It reports whether a pod is denied.
func (o *injectOptions) inject(ctx context.Context, b *bundle, warnings io.Writer) (denied bool, err error) {
	c := changes{notes: map[int][]string{}, operations: map[int][]inject.Operation{}}
	shared := b.sharing()
	for _, object := range b.objects {
		templates, found := object.pods()
		found = slices.Concat(checkKind(object), found)
		for _, template := range templates {
			refused, err := o.injectPod(ctx, b, object, template, shared, c, warnings)
			if err != nil {
				return false, err
			}
			denied = denied || refused
		}
		for _, f := range found {
			text := fmt.Sprintf("%s %s: %s: %s", object.Kind, object.id(), f.Field, f.Message)
			fmt.Fprintln(warnings, "warning:", text)
			c.notes[object.document] = append(c.notes[object.document], text)
		}
	}
	for i := range b.documents {
		if err := c.apply(i, &b.documents[i]); err != nil {
			return false, err
		}
		if o.explain {
			explain(&b.documents[i], c.notes[i], warnings)
		}
	}
	return denied, nil
}

// injectPod decides about one pod or pod template and notes what changes.
func (o *injectOptions) injectPod(ctx context.Context, b *bundle, of object, template manifest.Template, shared sharing, c changes, warnings io.Writer) (denied bool, err error) {
	var pod inject.Pod
	if err := manifest.Decode(template.Raw, &pod); err != nil {
		return false, fmt.Errorf("%s: %s %s: not a pod: %w", b.documents[of.document].Source, of.Kind, of.id(), err)
	}
	ns, assumed := o.assume(b, of)
	view := inject.View{Networks: inject.NewLookup(b.finder(of.file, last), nil), Others: b.ranges, Reservations: b.reservations}
	decision, err := inject.Decide(ctx, pod, ns, view, o.policy)
	if err != nil {
		return false, err
	}
	c.note(of.document, template.Pointer, decision.Patch)
	line := fmt.Sprintf("%s %s: %s: %s", of.Kind, of.id(), decision.Reason, decision.Message())
	notes := []string{line}
	if _, own := pod.Metadata.Labels[inject.InjectLabel]; !own && assumed != "" && pod.Metadata.Annotations[nad.NetworksAnnotation] != "" {
		notes = append(notes, assumed)
	}
	beside := b.beside(of, template, pod, shared)
	c.notes[of.document] = append(append(c.notes[of.document], notes...), beside...)
	for _, text := range slices.Concat(decision.Warnings, beside) {
		fmt.Fprintf(warnings, "warning: %s %s: %s\n", of.Kind, of.id(), text)
	}
	if denied = decision.Reason.Outcome() == inject.Denied; denied {
		fmt.Fprintln(warnings, "denied:", line)
	}
	return denied, nil
}

// beside finds what no single admission can see: what is on the workload and
// not on its pods, addresses that several pods share, and names that the files
// define in several ways.
func (b *bundle) beside(of object, template manifest.Template, pod inject.Pod, shared sharing) []string {
	found := misplacedKeys(of, template, pod)
	selections, err := nad.Selections(of.Namespace, pod.Metadata.Annotations[nad.NetworksAnnotation])
	if err == nil { // else the decision says so
		found = append(found, shared.judge(of, template, selections, b.finder(of.file, last))...)
	}
	var texts []string
	for _, f := range found {
		texts = append(texts, f.Field+": "+f.Message)
	}
	if n := b.variants(of.file, selections); n > 1 {
		texts = append(texts, fmt.Sprintf("the files define a network of this pod %d times; the last definition is taken", n))
	}
	return texts
}

// assume returns the namespace of an object, and what had to be assumed of it.
func (o *injectOptions) assume(b *bundle, of object) (ns inject.Namespace, assumed string) {
	if all := b.namespaces.nearest(of.Namespace, of.file); len(all) > 0 {
		return all[len(all)-1], ""
	}
	ns.Name = of.Namespace
	if o.enabled {
		ns.Labels = map[string]string{inject.InjectLabel: inject.Enabled}
		return ns, fmt.Sprintf("Assumed: namespace %s, which is not among the files, has the label %s=%s; --enabled=false assumes that it has not.", ns.Name, inject.InjectLabel, inject.Enabled)
	}
	return ns, fmt.Sprintf("Assumed: namespace %s, which is not among the files, lacks the label %s (--enabled=false).", ns.Name, inject.InjectLabel)
}

// note keeps the operations on a pod, which is at the pointer in the document.
func (c changes) note(document int, pointer string, operations []inject.Operation) {
	for _, op := range operations {
		op.Path = pointer + op.Path
		if op.From != "" {
			op.From = pointer + op.From
		}
		c.operations[document] = append(c.operations[document], op)
	}
}

// apply changes a document.
func (c changes) apply(i int, document *manifest.Document) error {
	if len(c.operations[i]) == 0 {
		return nil
	}
	patch, err := json.Marshal(c.operations[i])
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	*document, err = document.Patch(patch)
	return err
}

// explain puts notes before their document. JSON has no comments, so its notes
// go to standard error.
func explain(document *manifest.Document, notes []string, rest io.Writer) {
	if len(notes) == 0 {
		return
	}
	comment := "# " + strings.Join(notes, "\n# ") + "\n"
	if document.IsJSON {
		fmt.Fprint(rest, comment)
		return
	}
	document.Text = append([]byte(comment), document.Text...)
}
