package kubectl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/manifest"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// defaultImage is the image of the installation's own manifests.
const defaultImage = "multus-ipmgr/ipmgr:v0.1.0"

const aboutInject = `kubectl ipmgr inject prints manifests as the webhook would change them: pods,
and what workloads make pods of. Networks, namespaces and ReservedCIDRs are
looked up among the files.`

// injectOptions are the flags of "inject".
type injectOptions struct {
	files
	explain  bool
	enabled  bool
	settings []string // IPMGR_* entries of --env
	policy   inject.Policy
}

func parseInject(arguments []string, version string, streams Streams) (*injectOptions, error) {
	o := &injectOptions{policy: inject.DefaultPolicy()}
	o.policy.Version = version
	flags := newFlags("inject")
	o.files.declare(flags)
	flags.BoolVar(&o.explain, "explain", false, "say of each pod, in a comment before its document, what was decided and why")
	flags.BoolVar(&o.enabled, "enabled", true, "take namespaces that are not among the files to have opted in")
	flags.StringVar(&o.policy.Image, "image", defaultImage, "`image` of the injected container")
	flags.Func("sidecar-style", "`style` of sidecars: native or container (default native)", func(text string) error {
		o.policy.Style = inject.SidecarStyle(text)
		if !slices.Contains([]inject.SidecarStyle{inject.Native, inject.Plain}, o.policy.Style) {
			return fmt.Errorf("want %q or %q", inject.Native, inject.Plain)
		}
		return nil
	})
	flags.Func("env", "`NAME=VALUE` for the injected container, as the webhook's flag of that name; may be repeated", o.environment)
	if err := parse(flags, aboutInject, arguments, streams); err != nil {
		return nil, err
	}
	var err error
	if o.policy.Settings, err = spec.Parse(o.settings); err != nil {
		return nil, fmt.Errorf("--env: %w", err)
	}
	return o, nil
}

func (o *injectOptions) environment(text string) error {
	env, setting, err := inject.AddEnv(o.policy.Env, text)
	if o.policy.Env = env; setting {
		o.settings = append(o.settings, text)
	}
	return err
}

// injectFiles is the command "inject".
func injectFiles(ctx context.Context, arguments []string, version string, streams Streams) (int, error) {
	options, err := parseInject(arguments, version, streams)
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
	denied, err := options.inject(ctx, b, streams.Err)
	if err != nil {
		return 0, err
	}
	if err := manifest.Write(streams.Out, b.documents); err != nil {
		return 0, fmt.Errorf("writing the manifests: %w", err)
	}
	if denied {
		return exitFound, nil
	}
	return exitOK, nil
}

// inject changes the bundle's documents. It reports whether a pod is denied.
func (o *injectOptions) inject(ctx context.Context, b *bundle, warnings io.Writer) (denied bool, err error) {
	notes := map[int][]string{} // by document
	shared := sharing{}
	for _, object := range b.objects {
		templates, found := object.pods()
		found = slices.Concat(checkKind(object), found)
		for _, template := range templates {
			one, refused, err := o.injectPod(ctx, b, object, template, shared, warnings)
			if err != nil {
				return false, err
			}
			notes[object.document] = append(notes[object.document], one...)
			denied = denied || refused
		}
		for _, f := range found {
			text := fmt.Sprintf("%s %s: %s: %s", object.Kind, object.id(), f.Field, f.Message)
			fmt.Fprintln(warnings, "warning:", text)
			notes[object.document] = append(notes[object.document], text)
		}
	}
	if o.explain {
		explain(b.documents, notes, warnings)
	}
	return denied, nil
}

// injectPod decides about one pod or pod template and changes its document. It
// returns what is to be explained.
func (o *injectOptions) injectPod(ctx context.Context, b *bundle, of object, template manifest.Template, shared sharing, warnings io.Writer) (notes []string, denied bool, err error) {
	var pod inject.Pod
	if err := manifest.Decode(template.Raw, &pod); err != nil {
		return nil, false, fmt.Errorf("%s: %s %s: is no pod: %w", b.documents[of.document].Source, of.Kind, of.id(), err)
	}
	ns, assumed := o.assume(b, of)
	view := inject.View{Networks: inject.NewLookup(b.finder(of.file, last), nil), Others: b.ranges, Reservations: b.reservations}
	decision, err := inject.Decide(ctx, pod, ns, view, o.policy)
	if err != nil {
		return nil, false, err
	}
	document := &b.documents[of.document]
	if *document, err = apply(*document, template.Pointer, decision.Patch); err != nil {
		return nil, false, err
	}
	line := fmt.Sprintf("%s %s: %s: %s", of.Kind, of.id(), decision.Reason, decision.Message())
	notes = append(notes, line)
	if _, own := pod.Metadata.Labels[inject.InjectLabel]; !own && assumed != "" && pod.Metadata.Annotations[nad.NetworksAnnotation] != "" {
		notes = append(notes, assumed)
	}
	beside := b.beside(of, template, pod, shared)
	notes = append(notes, beside...)
	for _, text := range slices.Concat(decision.Warnings, beside) {
		fmt.Fprintf(warnings, "warning: %s %s: %s\n", of.Kind, of.id(), text)
	}
	if denied = decision.Reason.Outcome() == inject.Denied; denied {
		fmt.Fprintln(warnings, "denied:", line)
	}
	return notes, denied, nil
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
	if all := nearest(b.namespaces[of.Namespace], of.file); len(all) > 0 {
		return all[len(all)-1], ""
	}
	ns.Name = of.Namespace
	if o.enabled {
		ns.Labels = map[string]string{inject.InjectLabel: inject.Enabled}
		return ns, fmt.Sprintf("Assumed: namespace %s, which is not among the files, has the label %s=%s; --enabled=false assumes that it has not.", ns.Name, inject.InjectLabel, inject.Enabled)
	}
	return ns, fmt.Sprintf("Assumed: namespace %s, which is not among the files, lacks the label %s (--enabled=false).", ns.Name, inject.InjectLabel)
}

// apply changes the document. The operations are on a pod, which is at the
// pointer.
func apply(document manifest.Document, pointer string, operations []inject.Operation) (manifest.Document, error) {
	if len(operations) == 0 {
		return document, nil
	}
	moved := slices.Clone(operations)
	for i := range moved {
		moved[i].Path = pointer + moved[i].Path
		if moved[i].From != "" {
			moved[i].From = pointer + moved[i].From
		}
	}
	patch, err := json.Marshal(moved)
	if err != nil {
		return document, fmt.Errorf("encoding the patch: %w", err)
	}
	return document.Patch(patch)
}

// explain puts notes before their documents. JSON has no comments, so its
// notes go to standard error.
func explain(documents []manifest.Document, notes map[int][]string, rest io.Writer) {
	for i, lines := range notes {
		comment := "# " + strings.Join(lines, "\n# ") + "\n"
		if documents[i].IsJSON {
			fmt.Fprint(rest, comment)
			continue
		}
		documents[i].Text = append([]byte(comment), documents[i].Text...)
	}
}
