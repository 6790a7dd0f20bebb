package nad

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// Selection is one network that a pod selects. The same NAD may be selected
// more than once.
type Selection struct {
	Namespace string // of the NAD
	Name      string // of the NAD
	// Interface is the name of the interface in the pod: the one that was
	// asked for, or Multus's own: net1 for the first element, net2 for the
	// second, counting elements that ask for a name too.
	Interface string
	// IPs are the static addresses that the pod asks for by "ips". One that was
	// given without a length has the length of a single address.
	IPs []netip.Prefix
	// Texts are IPs as the pod writes them: static refuses one without a length.
	Texts []string
	// Args are the addresses of "cni-args": {"ips": [...]}.
	Args Args
}

// Args are addresses that a pod asks for by cni-args. Multus hands them on
// unread, so only the IPAM plugin knows what they mean.
type Args struct {
	IPs []string
	// Given reports whether "ips" is there. It replaces the NAD's args.cni.ips,
	// even when it is empty.
	Given bool
	// Malformed says why it is not a list of strings, and is empty if it is one.
	Malformed string
}

// Asks reports whether the pod asks for addresses of its own choice.
func (s Selection) Asks() bool {
	return len(s.IPs) > 0 || len(s.Args.IPs) > 0 || s.Args.Malformed != ""
}

// tooManyError says that a pod asks for more than is read.
type tooManyError string

func (e tooManyError) Error() string { return string(e) }

// accepted ends the errors of Selections.
const accepted = `want "name", "namespace/name" or "namespace/name@interface", separated by commas, or a JSON list such as [{"name": "net-a", "interface": "net1"}]`

// Selections parses the value of NetworksAnnotation by Multus's rules. Names
// without a namespace are looked up in the given one, the pod's. An empty
// annotation selects nothing.
//
// Errors name the element and what is accepted. Beyond what Multus itself
// refuses, it refuses only what can never start: elements without a name, and
// interface names that CNI or the kernel do not take.
func Selections(namespace, annotation string) ([]Selection, error) {
	if annotation == "" {
		return nil, nil
	}
	if len(annotation) > MaxAnnotation {
		return nil, fmt.Errorf("it has %d bytes, and the API server takes at most %d", len(annotation), MaxAnnotation)
	}
	parse := parseText
	if strings.ContainsAny(annotation, `[{"`) { // as Multus distinguishes the forms
		parse = parseList
	}
	selections, err := parse(annotation)
	if many, ok := errors.AsType[tooManyError](err); ok {
		return nil, many
	}
	if err != nil {
		return nil, fmt.Errorf("%s; %s", shorten(err.Error(), maxMessage), accepted)
	}
	for i := range selections {
		if selections[i].Namespace == "" {
			selections[i].Namespace = namespace
		}
		if selections[i].Interface == "" {
			selections[i].Interface = fmt.Sprintf("net%d", i+1)
		}
	}
	return selections, nil
}

func parseText(annotation string) ([]Selection, error) {
	if count := strings.Count(annotation, ",") + 1; count > MaxNetworks {
		return nil, tooManyError(fmt.Sprintf("it selects %d networks, and at most %d are read", count, MaxNetworks))
	}
	var selections []Selection
	for item := range strings.SplitSeq(annotation, ",") {
		item = strings.TrimSpace(item)
		s, err := parseItem(item)
		if err != nil {
			return nil, fmt.Errorf("element %d (%q): %w", len(selections)+1, item, err)
		}
		selections = append(selections, s)
	}
	return selections, nil
}

func parseItem(item string) (Selection, error) {
	var s Selection
	name := item
	if namespace, rest, ok := strings.Cut(item, "/"); ok {
		if s.Namespace, name = strings.TrimSpace(namespace), rest; strings.Contains(rest, "/") {
			return s, errors.New(`has more than one "/"`)
		}
	}
	name, link, _ := strings.Cut(name, "@")
	if strings.Contains(link, "@") {
		return s, errors.New(`has more than one "@"`)
	}
	s.Name, s.Interface = strings.TrimSpace(name), strings.TrimSpace(link)
	if strings.Contains(s.Name, ".") {
		return s, fmt.Errorf("name %q has a dot, which Multus takes in the JSON form only", s.Name)
	}
	return s, s.check()
}

// element is one element of the JSON form, field by field as Multus decodes it
// (NetworkSelectionElement in multus-cni, pkg/types): a value of another type
// fails the pod, even where nothing of ours reads the field.
type element struct {
	Name                string         `json:"name"`
	Namespace           string         `json:"namespace"`
	Interface           string         `json:"interface"`
	DeprecatedInterface string         `json:"interfaceRequest"`
	IPs                 []string       `json:"ips"`
	MAC                 string         `json:"mac"`
	InfinibandGUID      string         `json:"infiniband-guid"`
	DeviceID            string         `json:"deviceID"`
	PortMappings        []*portMapping `json:"portMappings"`
	Bandwidth           *bandwidth     `json:"bandwidth"`
	DefaultRoute        []net.IP       `json:"default-route"`
	// A nil map decodes like Multus's pointer to one.
	CNIArgs map[string]json.RawMessage `json:"cni-args"`
}

type portMapping struct {
	HostPort      int    `json:"hostPort"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP"`
}

type bandwidth struct {
	IngressRate  int `json:"ingressRate"`
	IngressBurst int `json:"ingressBurst"`
	EgressRate   int `json:"egressRate"`
	EgressBurst  int `json:"egressBurst"`
}

func parseList(annotation string) ([]Selection, error) {
	if err := countList(annotation); err != nil {
		return nil, err
	}
	var list []*json.RawMessage
	if err := json.Unmarshal([]byte(annotation), &list); err != nil {
		return nil, describe(err)
	}
	selections := make([]Selection, len(list))
	for i, raw := range list {
		var err error
		if selections[i], err = parseElement(raw); err != nil {
			return nil, fmt.Errorf("element %d: %w", i+1, err)
		}
	}
	return selections, nil
}

// countList stops at the first element that is too many. Text that is not a list
// is left to the decoder.
func countList(annotation string) error {
	decoder := json.NewDecoder(strings.NewReader(annotation))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('[') {
		return nil //nolint:nilerr // the decoder that reads it all says what is wrong
	}
	for count := 0; decoder.More(); count++ {
		if count == MaxNetworks {
			return tooManyError(fmt.Sprintf("it selects more than %d networks, and no more are read", MaxNetworks))
		}
		var element json.RawMessage
		if err := decoder.Decode(&element); err != nil {
			return nil //nolint:nilerr // the same
		}
	}
	return nil
}

func parseElement(raw *json.RawMessage) (Selection, error) {
	var e element
	if raw == nil {
		return Selection{}, errors.New("is null; want an object")
	}
	if err := decode(*raw, &e); err != nil {
		return Selection{}, describe(err)
	}
	if e.Interface == "" {
		e.Interface = e.DeprecatedInterface
	}
	for _, hardware := range []string{e.MAC, e.InfinibandGUID} {
		if _, err := net.ParseMAC(hardware); hardware != "" && err != nil {
			return Selection{}, fmt.Errorf("%q is not a hardware address", hardware)
		}
	}
	s := Selection{Namespace: e.Namespace, Name: e.Name, Interface: e.Interface, Texts: e.IPs, Args: parseArgs(e.CNIArgs)}
	if most := max(len(e.IPs), len(s.Args.IPs)); most > MaxIPs {
		return Selection{}, tooManyError(fmt.Sprintf("it asks for %d addresses of network %q, and at most %d are read", most, shorten(e.Name, maxQuote), MaxIPs))
	}
	for _, text := range e.IPs {
		ip, err := parseIP(text)
		if err != nil {
			return Selection{}, err
		}
		s.IPs = append(s.IPs, ip)
	}
	return s, s.check()
}

// parseArgs reads what static and host-local decode of args.cni. They take the
// key in any case; of several Multus puts that last whose name sorts last.
func parseArgs(args map[string]json.RawMessage) Args {
	var a Args
	for _, key := range slices.Sorted(maps.Keys(args)) {
		if !strings.EqualFold(key, "ips") {
			continue
		}
		a = Args{Given: true}
		if err := decode(args[key], &a.IPs); err != nil {
			a = Args{Given: true, Malformed: describe(err).Error()}
		}
	}
	return a
}

// parseIP takes what Multus takes: an address, or one with a length.
func parseIP(text string) (netip.Prefix, error) {
	ip, network, err := net.ParseCIDR(text)
	if err != nil {
		if addr, err := parseAddr(text); err == nil {
			return netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		return netip.Prefix{}, fmt.Errorf("ips: %q is not an address; want one such as 10.10.1.81/24", text)
	}
	addr, _ := netip.AddrFromSlice(ip)
	ones, size := network.Mask.Size()
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, max(0, ones-(size-addr.BitLen()))), nil
}

// check refuses names that no object and no interface can have.
func (s Selection) check() error {
	switch {
	case s.Name == "":
		return errors.New("has no name")
	case !objectName(s.Name):
		return fmt.Errorf("name %q is not a Kubernetes name (lower case letters, digits, dashes; letters or digits at both ends)", s.Name)
	case s.Namespace != "" && (!objectName(s.Namespace) || strings.Contains(s.Namespace, ".")):
		return fmt.Errorf("namespace %q is not a Kubernetes name (lower case letters, digits, dashes; letters or digits at both ends)", s.Namespace)
	case s.Interface != "" && !interfaceName(s.Interface):
		return fmt.Errorf(`interface %q is not an interface name (at most 15 characters, no spaces, no "/", ":" or ",")`, s.Interface)
	}
	return nil
}

// objectName reports whether an object can have the name: a DNS subdomain.
func objectName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(name) <= 253
}

// interfaceName keeps to libcni's rule, which is the kernel's, and refuses what
// a list in an environment variable (IPMGR_INTERFACES) cannot hold: commas,
// spaces of any alphabet and control characters.
func interfaceName(name string) bool {
	unfit := func(r rune) bool { return strings.ContainsRune("/:,", r) || unicode.IsSpace(r) || unicode.IsControl(r) }
	return len(name) <= 15 && name != "." && name != ".." && !strings.ContainsFunc(name, unfit)
}
