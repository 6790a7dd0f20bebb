package nad

// Rule names what a finding is about. The set is closed and documented in
// docs/rules.md; a rule always has the same severity.
type Rule string

// Rules whose breach keeps pods from starting or their addresses from routing.
const (
	// TooLarge means that the object exceeds a bound.
	TooLarge Rule = "too-large"
	// ConfigMalformed means that Multus cannot read spec.config.
	ConfigMalformed Rule = "config-malformed"
	// AnnotationMalformed means that Multus cannot read a pod's networks annotation.
	AnnotationMalformed Rule = "annotation-malformed"
	// PluginMalformed means that one or all main plugins refuse their section.
	PluginMalformed Rule = "plugin-malformed"
	// IPAMMalformed means that the IPAM plugin refuses its section.
	IPAMMalformed Rule = "ipam-malformed"
	// RangeEmpty means that the IPAM has no address to hand out.
	RangeEmpty Rule = "range-empty"
	// NotReserved means that addresses are outside all explicit reservations.
	NotReserved Rule = "not-reserved"
	// AWSReserved means that addresses are among the first four or the last of a
	// subnet.
	AWSReserved Rule = "aws-reserved"
	// PrefixReservation means that addresses are in a reservation of type prefix.
	PrefixReservation Rule = "prefix-reservation"
	// ForeignRange means that a pod asks for an address that a network of another
	// namespace
	// hands out.
	ForeignRange Rule = "foreign-range"
)

// Rules whose breach is legal and probably a mistake, or cannot be judged.
const (
	// NoReservation means that there is no reservation to check against.
	NoReservation Rule = "no-reservation"
	// ConfigOnDisk means that the configuration or its ranges are in a file on
	// workers.
	ConfigOnDisk Rule = "config-on-disk"
	// IPAMUnknown means that the ranges of the IPAM type cannot be read.
	IPAMUnknown Rule = "ipam-unknown"
	// PluginUnknown means that the plugin's type is probably a misspelt known one.
	PluginUnknown Rule = "plugin-unknown"
	// LabelUnknown means that the label ManagedLabel has a value without meaning.
	LabelUnknown Rule = "label-unknown"
	// SettingIgnored means that the IPAM plugin silently ignores a setting.
	SettingIgnored Rule = "setting-ignored"
	// MasterMissing means that the plugin takes the worker's primary ENI.
	MasterMissing Rule = "master-missing"
	// HostLocalShared means that each worker hands out the same addresses.
	HostLocalShared Rule = "host-local-shared"
	// Macvlan means that EC2 drops frames from MACs that are not the ENI's.
	Macvlan Rule = "macvlan"
	// PrefixLength means that the addresses' prefix length is not the subnet's.
	PrefixLength Rule = "prefix-length"
	// Gateway means that the gateway is not the subnet's router.
	Gateway Rule = "gateway"
	// RangeOverlap means that another NAD hands out the same addresses.
	RangeOverlap Rule = "range-overlap"
	// TwoSubnets means that addresses are in more than one subnet.
	TwoSubnets Rule = "two-subnets"
	// IPsIgnored means that a pod asks for addresses but its network ignores them.
	IPsIgnored Rule = "ips-ignored"
)

// Rules about manifests, whose breach the API server would ignore too.
const (
	// KeyUnknown means that a label or annotation looks like one of ours but has
	// no effect.
	KeyUnknown Rule = "key-unknown"
	// InterfaceTwice means that two of a pod's networks have the same interface
	// name.
	InterfaceTwice Rule = "interface-twice"
	// DefaultNetworkManaged means that a managed network becomes a pod's eth0.
	DefaultNetworkManaged Rule = "default-network"
	// AddressShared means that pods that run at the same time get one address.
	AddressShared Rule = "address-shared"
	// AnnotationMisplaced means that an annotation for pods is on the object that
	// creates them.
	AnnotationMisplaced Rule = "annotation-misplaced"
	// KindUnknown means that a kind is misspelt, or its pods cannot be found.
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

// Severity says what a finding means for the user who applies the object.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // refused, where validation is enforced
	Warning Severity = "warning" // admitted with a warning
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
