package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// Kind is a kind of object that carries our keys.
type Kind string

// The kinds.
const (
	KindNamespace Kind = "Namespace"
	KindPod       Kind = "Pod"
	KindNAD       Kind = "NetworkAttachmentDefinition"
)

// prefix begins all our keys.
const prefix = "multus-ipmgr.io/"

// Bounds of what the keys of one object may cost. docs/rules.md lists them.
const (
	// mostKeys is how many labels or annotations that resemble ours are judged, and
	// of how many others the domain is compared with ours.
	mostKeys = 256
	// mostMistakes is how many mistakes are reported.
	mostMistakes = 16
	// mostKept is how many misspelt labels or annotations a cache keeps, and
	// longestValue how many bytes of one that is not misspelt.
	mostKept     = 4
	longestValue = 1024
)

// key is a label or an annotation that means something.
type key struct {
	name   string
	label  bool
	on     []Kind
	values []string // accepted; empty: the reader of the value judges it
}

// keys lists all keys that users write, including Multus's own: a pod whose
// annotation is misspelt gets no network, and nothing reports it.
func keys() []key {
	var modes, validations []string
	for _, m := range spec.Modes() {
		modes = append(modes, string(m))
	}
	for _, v := range Validations() {
		validations = append(validations, string(v))
	}
	both := []Kind{KindPod, KindNamespace}
	return []key{
		{InjectLabel, true, both, []string{Enabled, Disabled}},
		{ValidateLabel, true, []Kind{KindNamespace}, validations},
		{nad.ManagedLabel, true, []Kind{KindNAD}, nil},
		{ModeAnnotation, false, both, modes},
		{ZoneAffinityAnnotation, false, both, []string{Disabled}},
		{RequestsAnnotation, false, both, nil},
		{LimitsAnnotation, false, both, nil},
		{ExcludeAnnotation, false, []Kind{KindPod}, nil},
		{InjectedAnnotation, false, []Kind{KindPod}, nil},
		{nad.NetworksAnnotation, false, []Kind{KindPod}, nil},
		{nad.DefaultNetworkAnnotation, false, []Kind{KindPod}, nil},
	}
}

// KeyMistake is a label or annotation that looks like one of ours but has no
// meaning.
type KeyMistake struct {
	// Field is where it is: metadata.labels[multus-ipmgr.io/injct].
	Field string
	// Message says what is wrong, and what was probably meant.
	Message string
}

// KeyMistakes looks for misspelt keys and values among the labels and the
// annotations of an object.
func KeyMistakes(kind Kind, labels, annotations map[string]string) []KeyMistake {
	var found []KeyMistake
	for _, place := range []struct {
		label bool
		all   map[string]string
	}{{true, labels}, {false, annotations}} {
		for _, name := range similar(place.all) {
			if message := judgeKey(kind, name, place.all[name], place.label); message != "" && len(found) < mostMistakes {
				found = append(found, KeyMistake{fmt.Sprintf("metadata.%ss[%s]", noun(place.label), name), message})
			}
		}
	}
	return found
}

// KeyFindings are KeyMistakes as findings in the object. field is where its
// metadata are, and empty or ends in a dot.
func KeyFindings(kind Kind, object, field string, labels, annotations map[string]string) []nad.Finding {
	var found []nad.Finding
	for _, m := range KeyMistakes(kind, labels, annotations) {
		found = append(found, nad.Finding{Object: object, Severity: nad.KeyUnknown.Severity(), Rule: nad.KeyUnknown, Field: field + m.Field, Message: m.Message})
	}
	return found
}

func noun(label bool) string {
	if label {
		return "label"
	}
	return "annotation"
}

// Kept returns what a cache keeps of the labels or annotations of an object of a
// kind: those that are known, and of some that are misspelt the name. KeyMistakes
// finds the same mistakes in it, as far as it has room for them. A value that is
// too long to mean anything is cut so that it still means nothing.
func Kept(kind Kind, all map[string]string, label bool) map[string]string {
	kept := map[string]string{}
	for _, k := range keys() {
		if value, ok := all[k.name]; ok {
			if len(value) > longestValue {
				value = strings.ToValidUTF8(value[:longestValue], "") + "..."
			}
			kept[k.name] = value
		}
	}
	room := mostKept
	for _, name := range similar(all) {
		if _, known := kept[name]; known || room == 0 || judgeKey(kind, name, all[name], label) == "" {
			continue
		}
		kept[name] = ""
		room--
	}
	return kept
}

// similar returns the keys that begin as one of ours does, or nearly so, sorted.
func similar(all map[string]string) []string {
	var found []string
	compared := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		domain, _, ok := strings.Cut(name, "/")
		switch {
		case len(found) == mostKeys:
			return found
		case !ok || strings.Contains(name, prefix) || strings.Contains(domain, "ipmgr"):
			if strings.Contains(name, "ipmgr") {
				found = append(found, name)
			}
		case compared < mostKeys && !ofKubernetes(domain):
			compared++
			if nearDomain(domain) != "" {
				found = append(found, name)
			}
		}
	}
	return found
}

// ofKubernetes reports whether the domain is one of Kubernetes's own. Most keys
// are of these, and are not mistakes.
func ofKubernetes(domain string) bool {
	return strings.HasSuffix(domain, "kubernetes.io") || strings.HasSuffix(domain, "k8s.io")
}

// nearDomain returns the domain of known keys that was probably meant.
func nearDomain(domain string) string {
	if ofKubernetes(domain) {
		return ""
	}
	ours, multus, multusDefault := domainOf(prefix), domainOf(nad.NetworksAnnotation), domainOf(nad.DefaultNetworkAnnotation)
	if strings.Contains(domain, "ipmgr") {
		return ours
	}
	return nad.Nearest(domain, []string{ours, multus, multusDefault})
}

func domainOf(name string) string {
	domain, _, _ := strings.Cut(name, "/")
	return domain
}

// judgeKey says what is wrong with a key and its value, or nothing.
func judgeKey(kind Kind, name, value string, label bool) string {
	for _, k := range keys() {
		switch {
		case k.name != name:
		case k.label != label:
			return fmt.Sprintf("%s %s has no meaning; it is read as %s", noun(label), name, article(noun(k.label)))
		case !slices.Contains(k.on, kind):
			return fmt.Sprintf("%s %s has no meaning on %s; it is read on %s", noun(label), name, article(string(kind)), places(k.on))
		case len(k.values) > 0 && !slices.Contains(k.values, value):
			return unknownValue(k, value)
		default:
			return ""
		}
	}
	return unknownKey(kind, name, label)
}

func unknownValue(k key, value string) string {
	message := fmt.Sprintf("%s %s=%s has no meaning; accepted %s", noun(k.label), k.name, quoted(value), alternatives(k.values))
	if meant := nad.Nearest(value, k.values); meant != "" {
		message += fmt.Sprintf("; %q is probably meant", meant)
	}
	return message
}

// unknownKey names the known key that is nearest. Keys under Multus's domains
// are other programs' too, so of these only near ones are reported.
func unknownKey(kind Kind, name string, label bool) string {
	domain, rest, slashed := strings.Cut(name, "/")
	meant := nearDomain(domain)
	var names, all []string
	for _, k := range keys() {
		if domainOf(k.name) == meant && slices.Contains(k.on, kind) {
			names = append(names, strings.TrimPrefix(k.name, meant+"/"))
			all = append(all, k.name)
		}
	}
	if near := nad.Nearest(name, all); !slashed && near != "" {
		return fmt.Sprintf("%s %s has no meaning; %s is probably meant", noun(label), name, near)
	}
	if near := nad.Nearest(rest, names); near != "" {
		return fmt.Sprintf("%s %s has no meaning; %s/%s is probably meant", noun(label), name, meant, near)
	}
	if domain+"/" != prefix {
		return ""
	}
	return fmt.Sprintf("%s %s has no meaning; on %s there are %s", noun(label), name, article(string(kind)), strings.Join(all, ", "))
}

// alternatives is "are "a" and "b"", or "is "a"".
func alternatives(values []string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprintf("%q", v)
	}
	last := len(texts) - 1
	if last == 0 {
		return "is " + texts[0]
	}
	return "are " + strings.Join(texts[:last], ", ") + " and " + texts[last]
}

func places(on []Kind) string {
	var texts []string
	for _, kind := range on {
		texts = append(texts, article(string(kind)))
	}
	return strings.Join(texts, " or ")
}

func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}

// longestQuote is how many letters of a user's text are repeated to them.
const longestQuote = 64

// quoted is the beginning of a user's text in quotation marks.
func quoted(text string) string {
	if runes := []rune(text[:min(len(text), 4*longestQuote)]); len(runes) > longestQuote {
		return fmt.Sprintf("%q...", string(runes[:longestQuote]))
	}
	return fmt.Sprintf("%q", text)
}
