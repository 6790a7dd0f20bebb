package spec

// Reason says why a worker cannot get an ENI. Logs, output, conditions and
// tests share the set.
type Reason string

// The reasons.
const (
	SubnetMissing  Reason = "subnet-missing" // no subnet of the network is in the worker's zone
	SubnetFull     Reason = "subnet-full"    // no address is left
	NoReservation  Reason = "no-reservation" // no range of the subnet is reserved for pods
	ENILimit       Reason = "eni-limit"      // the instance type or the card takes no more ENIs
	DeviceTaken    Reason = "device-taken"   // another ENI is attached at the device index
	GroupMissing   Reason = "group-missing"  // a security group does not exist in the VPC
	NotAuthorised  Reason = "not-authorised" // IAM says no
	Quota          Reason = "quota"          // the account has no ENI left
	InstanceGone   Reason = "instance-gone"  // the instance is ending, or unknown
	IPv6Missing    Reason = "ipv6-missing"   // the subnet has no IPv6 range
	SettingsReason Reason = "settings"       // the settings fit no subnet
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{
		SubnetMissing, SubnetFull, NoReservation, ENILimit, DeviceTaken, GroupMissing, NotAuthorised, Quota,
		InstanceGone, IPv6Missing, SettingsReason,
	}
}

// Holds reports whether a worker that is refused for the reason is kept
// waiting. Launching another one would change nothing where the cause is in the
// settings, the account or the subnets, and would go on for ever.
func (o OnRefusal) Holds(r Reason) bool {
	switch o {
	case OnRefusalHold:
		return r != InstanceGone
	case OnRefusalAbandon:
		return false
	}
	switch r {
	case SettingsReason, ENILimit, GroupMissing, NotAuthorised, NoReservation, SubnetMissing, IPv6Missing, Quota:
		return true
	}
	return false
}
