package nad

// Rule names what a finding is about. The set is closed and documented in
// docs/rules.md; a rule always has the same severity.
type Rule string

// Rules whose breach keeps pods from starting or their addresses from routing.
const (
	// TooLarge: there is more of it than is read.
	TooLarge Rule = "too-large"
	// ConfigMalformed: Multus cannot read spec.config.
	ConfigMalformed Rule = "config-malformed"
	// AnnotationMalformed: Multus cannot read a pod's networks annotation.
	AnnotationMalformed Rule = "annotation-malformed"
	// PluginMalformed: a main plugin refuses its section, or all of them do.
	PluginMalformed Rule = "plugin-malformed"
	// IPAMMalformed: the IPAM plugin refuses its section.
	IPAMMalformed Rule = "ipam-malformed"
	// RangeEmpty: the IPAM has no address to hand out.
	RangeEmpty Rule = "range-empty"
	// NotReserved: addresses are outside of all explicit reservations.
	NotReserved Rule = "not-reserved"
	// AWSReserved: addresses are among the first four or the last of a subnet.
	AWSReserved Rule = "aws-reserved"
	// PrefixReservation: addresses are in a reservation of type prefix.
	PrefixReservation Rule = "prefix-reservation"
	// ForeignRange: a pod asks for an address that a network of another namespace
	// hands out.
	ForeignRange Rule = "foreign-range"
)

// Rules whose breach is legal and probably a mistake, or cannot be judged.
const (
	// NoReservation: nothing is known to check against.
	NoReservation Rule = "no-reservation"
	// ConfigOnDisk: the configuration or its ranges are in a file on workers.
	ConfigOnDisk Rule = "config-on-disk"
	// IPAMUnknown: the IPAM type is not one whose ranges can be read.
	IPAMUnknown Rule = "ipam-unknown"
	// PluginUnknown: the plugin's type is near that of a known one.
	PluginUnknown Rule = "plugin-unknown"
	// LabelUnknown: the label ManagedLabel has a value without meaning.
	LabelUnknown Rule = "label-unknown"
	// SettingIgnored: the IPAM plugin passes over a setting without a word.
	SettingIgnored Rule = "setting-ignored"
	// MasterMissing: the plugin takes the worker's primary ENI.
	MasterMissing Rule = "master-missing"
	// HostLocalShared: each worker hands out the same addresses.
	HostLocalShared Rule = "host-local-shared"
	// Macvlan: EC2 drops frames from MACs that are not the ENI's.
	Macvlan Rule = "macvlan"
	// PrefixLength: the addresses' prefix length is not the subnet's.
	PrefixLength Rule = "prefix-length"
	// Gateway: the gateway is not the subnet's router.
	Gateway Rule = "gateway"
	// RangeOverlap: another NAD hands out the same addresses.
	RangeOverlap Rule = "range-overlap"
	// TwoSubnets: addresses are in more than one subnet.
	TwoSubnets Rule = "two-subnets"
	// IPsIgnored: a pod asks for addresses that its network does not give.
	IPsIgnored Rule = "ips-ignored"
)

// Rules about manifests, whose breach the API server would pass over, too.
const (
	// KeyUnknown: a label or an annotation that looks like one of ours means
	// nothing.
	KeyUnknown Rule = "key-unknown"
	// InterfaceTwice: two of a pod's networks are to have one interface.
	InterfaceTwice Rule = "interface-twice"
	// DefaultNetworkManaged: a managed network becomes a pod's eth0.
	DefaultNetworkManaged Rule = "default-network"
	// AddressShared: pods that run at once get one address.
	AddressShared Rule = "address-shared"
	// AnnotationMisplaced: what pods are to have is on what makes them.
	AnnotationMisplaced Rule = "annotation-misplaced"
	// KindUnknown: a kind is misspelt, or its pods cannot be found.
	KindUnknown Rule = "kind-unknown"
)

// Rules lists all rules in the order in which they are documented: errors
// first.
func Rules() []Rule {
	return []Rule{
		TooLarge, ConfigMalformed, AnnotationMalformed, PluginMalformed, IPAMMalformed, RangeEmpty, NotReserved, AWSReserved, PrefixReservation, ForeignRange,
		NoReservation, ConfigOnDisk, IPAMUnknown, PluginUnknown, LabelUnknown, SettingIgnored, MasterMissing, HostLocalShared,
		Macvlan, PrefixLength, Gateway, RangeOverlap, TwoSubnets, IPsIgnored,
		KeyUnknown, InterfaceTwice, DefaultNetworkManaged, AddressShared, AnnotationMisplaced, KindUnknown,
	}
}

// Severity says what a finding means for whoever applies the object.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // refused, where validation is enforced
	Warning Severity = "warning" // admitted, and told
)

// Severity of a finding of this rule.
func (r Rule) Severity() Severity {
	switch r {
	case TooLarge, ConfigMalformed, AnnotationMalformed, PluginMalformed, IPAMMalformed, RangeEmpty, NotReserved, AWSReserved, PrefixReservation, ForeignRange:
		return Error
	default:
		return Warning
	}
}
