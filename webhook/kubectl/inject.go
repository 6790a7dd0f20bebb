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
	view := inject.View{Networks: inject.NewLookup(b.network, nil), Others: b.ranges(), Reservations: b.reservations}
	for _, object := range b.objects {
		template, ok := object.Template()
		if !ok {
			continue
		}
		decision, err := o.decide(ctx, b, view, object, template)
		if err != nil {
			return false, err
		}
		document := &b.documents[object.document]
		if *document, err = apply(*document, template.Pointer, decision.Patch); err != nil {
			return false, err
		}
		for _, warning := range decision.Warnings {
			fmt.Fprintf(warnings, "warning: %s %s: %s\n", object.Kind, object.id(), warning)
		}
		line := fmt.Sprintf("%s %s: %s: %s", object.Kind, object.id(), decision.Reason, decision.Message())
		notes[object.document] = append(notes[object.document], line)
		if decision.Reason.Outcome() == inject.Denied {
			denied = true
			fmt.Fprintln(warnings, "denied:", line)
		}
	}
	if o.explain {
		explain(b.documents, notes, warnings)
	}
	return denied, nil
}

func (o *injectOptions) decide(ctx context.Context, b *bundle, view inject.View, of object, template manifest.Template) (inject.Decision, error) {
	var pod inject.Pod
	if err := manifest.Decode(template.Raw, &pod); err != nil {
		return inject.Decision{}, fmt.Errorf("%s: %s %s: is no pod: %w", b.documents[of.document].Source, of.Kind, of.id(), err)
	}
	ns, found := b.namespaces[of.Namespace]
	if !found {
		ns.Name = of.Namespace
		if o.enabled {
			ns.Labels = map[string]string{inject.InjectLabel: inject.Enabled}
		}
	}
	return inject.Decide(ctx, pod, ns, view, o.policy)
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
