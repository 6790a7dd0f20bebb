package inject_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

var update = flag.Bool("update", false, "rewrite the wanted decisions in testdata")

// Sections of a case. Its comment says what it shows.
const (
	podSection       = "pod.yaml"
	namespaceSection = "namespace.yaml" // default: "apps", enabled
	nadsSection      = "nads.yaml"      // documents; each must be looked up
	settingsSection  = "settings.yaml"
	reservedSection  = "reservations.yaml" // a list; default: none
	wantSection      = "want.yaml"
)

// pullSecret is the Secret of cases whose settings name one.
const pullSecret = "ipmgr-registry"

// settings are the policy of a case, as far as it differs from the default.
type settings struct {
	Style        inject.SidecarStyle `json:"style,omitempty"`
	PullPolicy   corev1.PullPolicy   `json:"pullPolicy,omitempty"`
	IPMGR        []string            `json:"ipmgr,omitempty"`
	Env          []corev1.EnvVar     `json:"env,omitempty"`
	WebIdentity  string              `json:"webIdentity,omitempty"`
	Validation   inject.Validation   `json:"validation,omitempty"`
	FreeZones    bool                `json:"freeZones,omitempty"`
	AllowForeign bool                `json:"allowForeign,omitempty"`
	PullSecrets  []string            `json:"pullSecrets,omitempty"`
	MaxLimits    corev1.ResourceList `json:"maxLimits,omitempty"`
}

// want is a decision as it is written in testdata.
type want struct {
	Outcome    inject.Outcome `json:"outcome"`
	Reason     inject.Reason  `json:"reason"`
	Message    string         `json:"message"`
	Mode       spec.Mode      `json:"mode,omitempty"`
	Interfaces []string       `json:"interfaces,omitempty"`
	Warnings   []string       `json:"warnings,omitempty"`
	Patch      any            `json:"patch,omitempty"`
}

// testCase is one file of testdata.
type testCase struct {
	archive   *txtar.Archive
	pod       []byte // JSON
	namespace inject.Namespace
	nads      map[string]nad.Definition
	policy    inject.Policy
	lookedUp  map[string]bool

	reservations []nad.Reservation
}

// networks returns what all NADs of the case mean.
func (c *testCase) networks() []nad.Network {
	var all []nad.Network
	for _, d := range slices.SortedFunc(maps.Values(c.nads), func(a, b nad.Definition) int { return strings.Compare(a.Object(), b.Object()) }) {
		all = append(all, nad.Read(d))
	}
	return all
}

func TestDecisionsAreThoseOfTestdata(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d cases found (%v), want 25 or more", len(files), err)
	}
	reasons := map[inject.Reason]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			c := load(t, file)
			d := c.decide(t, c.pod)
			reasons[d.Reason] = true
			c.compare(t, file, d)
			for name := range c.nads {
				if !c.lookedUp[name] {
					t.Errorf("%s holds %s, which nothing looks up", nadsSection, name)
				}
			}
			c.secondPassChangesNothing(t, d)
			c.ipmgrUnderstandsItsSettings(t, d)
			c.nothingOfTheUserIsLost(t)
		})
	}
	for _, reason := range inject.Reasons() {
		if !reasons[reason] {
			t.Errorf("no case shows the reason %s", reason)
		}
	}
}

func (c *testCase) decide(t *testing.T, podJSON []byte) inject.Decision {
	t.Helper()
	find := func(namespace, name string) (nad.Network, bool) {
		c.lookedUp[namespace+"/"+name] = true
		d, found := c.nads[namespace+"/"+name]
		return nad.Read(d), found
	}
	view := inject.View{Networks: inject.NewLookup(find, nil), Others: nad.NewIndex(c.networks()...), Reservations: c.reservations}
	decision, err := inject.Decide(t.Context(), decodePod(t, podJSON), c.namespace, view, c.policy)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// compare holds the decision against the file, or writes it there.
func (c *testCase) compare(t *testing.T, file string, d inject.Decision) {
	t.Helper()
	w := want{d.Reason.Outcome(), d.Reason, d.Message(), d.Mode, d.Interfaces, d.Warnings, nil}
	if d.Patch != nil {
		w.Patch = d.Patch
	}
	got, err := yaml.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		c.archive.Files = slices.DeleteFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == wantSection })
		c.archive.Files = append(c.archive.Files, txtar.File{Name: wantSection, Data: got})
		if err := os.WriteFile(file, txtar.Format(c.archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(c.section(wantSection)), string(got)); diff != "" {
		t.Errorf("decision (-want +got; go test ./webhook/inject -update rewrites it):\n%s", diff)
	}
}

func (c *testCase) secondPassChangesNothing(t *testing.T, first inject.Decision) {
	t.Helper()
	second := c.decide(t, apply(t, c.pod, first.Patch))
	wantReason := first.Reason
	if first.Reason.Outcome() == inject.Patched {
		wantReason = inject.AlreadyInjected
	}
	if second.Reason != wantReason || len(second.Patch) > 0 {
		t.Errorf("second pass: reason %s with %d operations, want %s with none", second.Reason, len(second.Patch), wantReason)
	}
}

// ipmgrUnderstandsItsSettings reads the environment of the container as ipmgr
// will, after the kubelet turned each $$ into a dollar.
func (c *testCase) ipmgrUnderstandsItsSettings(t *testing.T, d inject.Decision) {
	t.Helper()
	if d.Reason != inject.Injected {
		return
	}
	var pod corev1.Pod
	if err := json.Unmarshal(apply(t, c.pod, d.Patch), &pod); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	at := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == inject.ContainerName })
	var environ []string
	for _, e := range all[at].Env {
		environ = append(environ, e.Name+"="+strings.ReplaceAll(e.Value, "$$", "$"))
	}
	s, err := spec.Parse(environ)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Interfaces, s.Interfaces); diff != "" {
		t.Errorf("interfaces that ipmgr waits for (-want +got):\n%s", diff)
	}
}

// nothingOfTheUserIsLost gives the pod fields that no API knows, applies the
// decision, takes away what is ours, and compares.
func (c *testCase) nothingOfTheUserIsLost(t *testing.T) {
	t.Helper()
	var pod map[string]any
	if err := json.Unmarshal(c.pod, &pod); err != nil {
		t.Fatal(err)
	}
	addUnknownFields(pod)
	original := encode(t, pod)
	d := c.decide(t, original)
	var patched map[string]any
	if err := json.Unmarshal(apply(t, original, d.Patch), &patched); err != nil {
		t.Fatal(err)
	}
	stripOurs(pod)
	stripOurs(patched)
	if diff := cmp.Diff(pod, patched); diff != "" {
		t.Errorf("beyond the container, the volume and the annotation (-before +after):\n%s", diff)
	}
}

// addUnknownFields puts a field of a later Kubernetes into every object but
// those that are maps of strings.
func addUnknownFields(object map[string]any) {
	ofStrings := []string{"labels", "annotations", "nodeSelector", "requests", "limits"}
	for key, value := range object {
		elements, _ := value.([]any)
		for _, element := range append(elements, value) {
			if element, ok := element.(map[string]any); ok && !slices.Contains(ofStrings, key) {
				addUnknownFields(element)
			}
		}
	}
	object["fieldOfALaterKubernetes"] = map[string]any{"number": 9007199254740991.0, "list": []any{"a", nil}}
}

// stripOurs removes what a decision may add. An empty list is like none.
func stripOurs(pod map[string]any) {
	podSpec, _ := pod["spec"].(map[string]any)
	metadata, _ := pod["metadata"].(map[string]any)
	for _, list := range []string{"initContainers", "containers", "volumes"} {
		elements, _ := podSpec[list].([]any)
		elements = slices.DeleteFunc(elements, func(e any) bool {
			element, _ := e.(map[string]any)
			return slices.Contains([]any{inject.ContainerName, "multus-ipmgr-aws-token", "multus-ipmgr-no-token"}, element["name"])
		})
		if podSpec[list] = elements; len(elements) == 0 {
			delete(podSpec, list)
		}
	}
	if secrets, _ := podSpec["imagePullSecrets"].([]any); podSpec["imagePullSecrets"] != nil {
		podSpec["imagePullSecrets"] = slices.DeleteFunc(secrets, func(e any) bool {
			element, _ := e.(map[string]any)
			return element["name"] == pullSecret
		})
		prune(podSpec, "imagePullSecrets")
	}
	if annotations, ok := metadata["annotations"].(map[string]any); ok {
		delete(annotations, inject.InjectedAnnotation)
	}
	stripZone(podSpec)
}

// stripZone removes the requirement of a zone, and what it may have been the
// first to need.
func stripZone(podSpec map[string]any) {
	terms := []any{}
	if found, err := jsonpath(podSpec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"); err == nil {
		terms, _ = found["nodeSelectorTerms"].([]any)
	}
	for _, term := range terms {
		term, _ := term.(map[string]any)
		expressions, _ := term["matchExpressions"].([]any)
		term["matchExpressions"] = slices.DeleteFunc(expressions, func(e any) bool {
			expression, _ := e.(map[string]any)
			return expression["key"] == "topology.kubernetes.io/zone"
		})
	}
	prune(podSpec, "affinity")
}

// jsonpath walks down a path of objects.
func jsonpath(object map[string]any, keys ...string) (map[string]any, error) {
	for _, key := range keys {
		next, ok := object[key].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("no %s", key)
		}
		object = next
	}
	return object, nil
}

// prune removes what is empty below a key.
func prune(object map[string]any, key string) {
	switch value := object[key].(type) {
	case map[string]any:
		for k := range value {
			prune(value, k)
		}
		if len(value) == 0 {
			delete(object, key)
		}
	case []any:
		value = slices.DeleteFunc(value, func(e any) bool {
			element, ok := e.(map[string]any)
			for k := range element {
				prune(element, k)
			}
			return ok && len(element) == 0
		})
		if object[key] = value; len(value) == 0 {
			delete(object, key)
		}
	}
}

func load(t *testing.T, file string) *testCase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &testCase{
		archive:   archive,
		namespace: inject.Namespace{Name: "apps", Labels: map[string]string{inject.InjectLabel: inject.Enabled}},
		nads:      map[string]nad.Definition{},
		lookedUp:  map[string]bool{},
	}
	known := []string{podSection, namespaceSection, nadsSection, settingsSection, reservedSection, wantSection}
	for i, f := range archive.Files {
		if !slices.Contains(known, f.Name) || slices.ContainsFunc(archive.Files[:i], func(e txtar.File) bool { return e.Name == f.Name }) {
			t.Fatalf("section %s is stale or there twice; there are %v", f.Name, known)
		}
	}
	if len(bytes.TrimSpace(archive.Comment)) == 0 {
		t.Error("the case has no comment that says what it shows")
	}
	if c.pod, err = yaml.YAMLToJSON(c.section(podSection)); err != nil {
		t.Fatal(err)
	}
	c.loadNamespace(t)
	c.loadNADs(t)
	c.loadPolicy(t)
	c.loadReservations(t)
	return c
}

func (c *testCase) section(name string) []byte {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func (c *testCase) loadNamespace(t *testing.T) {
	t.Helper()
	if data := c.section(namespaceSection); data != nil {
		var ns corev1.Namespace
		if err := yaml.UnmarshalStrict(data, &ns); err != nil {
			t.Fatal(err)
		}
		c.namespace = inject.Namespace{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}
	}
}

func (c *testCase) loadNADs(t *testing.T) {
	t.Helper()
	for document := range bytes.SplitSeq(c.section(nadsSection), []byte("---\n")) {
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		var object struct {
			Metadata struct {
				Namespace, Name string
				Labels          map[string]string
			}
			Spec struct{ Config string }
		}
		if err := yaml.UnmarshalStrict(document, &object); err != nil {
			t.Fatal(err)
		}
		d := nad.Definition{Namespace: object.Metadata.Namespace, Name: object.Metadata.Name, Labels: object.Metadata.Labels, Config: object.Spec.Config}
		if d.Namespace == "" {
			d.Namespace = c.namespace.Name
		}
		c.nads[d.Namespace+"/"+d.Name] = d
	}
}

func (c *testCase) loadReservations(t *testing.T) {
	t.Helper()
	var list []struct{ CIDR, Type, Subnet, SubnetCIDR, Zone string }
	if err := yaml.UnmarshalStrict(c.section(reservedSection), &list); err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		reservation, err := nad.ParseReservation(r.CIDR, r.Type, r.Subnet, r.SubnetCIDR, r.Zone)
		if err != nil {
			t.Fatal(err)
		}
		c.reservations = append(c.reservations, reservation)
	}
}

func (c *testCase) loadPolicy(t *testing.T) {
	t.Helper()
	var s settings
	if err := yaml.UnmarshalStrict(c.section(settingsSection), &s); err != nil {
		t.Fatal(err)
	}
	c.policy = inject.DefaultPolicy()
	c.policy.Image, c.policy.Version = "registry.example/ipmgr:v0.1.0", "v0.1.0"
	c.policy.Protected = append(c.policy.Protected, "multus-ipmgr-system")
	c.policy.PullPolicy, c.policy.Env, c.policy.WebIdentity.RoleARN = s.PullPolicy, s.Env, s.WebIdentity
	if s.Style != "" {
		c.policy.Style = s.Style
	}
	if s.Validation != "" {
		c.policy.Validation = s.Validation
	}
	c.policy.FreeZones, c.policy.AllowForeign, c.policy.PullSecrets = s.FreeZones, s.AllowForeign, s.PullSecrets
	if s.MaxLimits != nil {
		c.policy.MaxLimits = s.MaxLimits
	}
	var err error
	if c.policy.Settings, err = spec.Parse(s.IPMGR); err != nil {
		t.Fatal(err)
	}
}

func decodePod(t *testing.T, data []byte) inject.Pod {
	t.Helper()
	var pod inject.Pod
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// apply applies operations as the API server does.
func apply(t *testing.T, document []byte, ops []inject.Operation) []byte {
	t.Helper()
	if len(ops) == 0 {
		return document
	}
	patch, err := jsonpatch.DecodePatch(encode(t, ops))
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(document)
	if err != nil {
		t.Fatal(err)
	}
	return patched
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(fmt.Errorf("encoding: %w", err))
	}
	return data
}
