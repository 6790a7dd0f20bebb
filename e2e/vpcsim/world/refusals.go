package world

import (
	"net/netip"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
)

// The sentences below are AWS's own, captured from EC2 or taken from bug
// reports that quote it. Those that no source gives say so.

func errMissingENI() error { return apierr.Missing("networkInterfaceId") }

func errMalformedENI(id string) error {
	return apierr.New("InvalidNetworkInterfaceId.Malformed", "Invalid id: %q (expecting \"eni-...\")", id)
}

func errNoENI(id string) error {
	return apierr.New("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", id)
}

func errMalformedInstance(id string) error {
	return apierr.New("InvalidInstanceID.Malformed", "Invalid id: %q (expecting \"i-...\")", id)
}

func errNoInstance(id string) error {
	return apierr.New("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
}

// errPending answers for an instance that does not run yet. What it says for
// AttachNetworkInterface is unknown; these are what its siblings say.
func errPending(code string, in Instance, e *ENI) error {
	switch code {
	case "IncorrectInstanceState":
		return apierr.New(code, "The pending-instance-creation instance to which '%s' is attached is not in a valid state for this operation", e.ID)
	case "InvalidInstanceID":
		return apierr.New(code, "The pending instance '%s' is not in a valid state for this operation.", in.ID)
	default:
		return apierr.New(code, "Instance '%s' is not 'running'.", in.ID)
	}
}

// checkDescription refuses what EC2 does not take as the description of an ENI.
func checkDescription(text string) error {
	const signs = "._-:/()#,@[]+=&;{}!$* "
	bad := strings.ContainsFunc(text, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(signs, r)
	})
	if bad || len(text) > maxDescription {
		return apierr.Value("Value (%s) for parameter description is invalid. Character sets beyond ASCII are not supported.", text)
	}
	return nil
}

// maxDescription is the length of the longest description.
const maxDescription = 255

func errTooManyAttached(n int, instanceType string) error {
	return apierr.New("AttachmentLimitExceeded", "Interface count %d exceeds the limit for %s", n, instanceType)
}

func errQuota(code string, quota int) error {
	return apierr.New(code, "The maximum number of network interfaces, %d, has been reached.", quota)
}

// errWrongState follows what EC2 says of instances that cannot be started.
func errWrongState(in Instance, done string) error {
	return apierr.New("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be %s.", in.ID, done)
}

func errNoSubnet(id string) error {
	return apierr.New("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
}

func errNoReservation(id string) error {
	return apierr.New("InvalidSubnetCidrReservationID.NotFound",
		"The subnet-cidr-reservation ID '%s' does not exist", id)
}

func errNoGroup(id string) error {
	return apierr.New("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
}

func errUnparsable(text string) error {
	return apierr.Value("invalid value for parameter address: %s", text)
}

func errOutsideSubnet() error {
	return apierr.Value("Address does not fall within the subnet's address range")
}

func errReserved(a netip.Addr) error {
	return apierr.Value("Address %s is in subnet's reserved range.", a)
}

func errReservedOnCreate() error {
	return apierr.Value("Address is in subnet's reserved address range")
}

func errMoveDenied(addrs []netip.Addr) error {
	return apierr.Value("[%s] assigned, but move is not allowed.", join(addrs))
}

func errPrimaryOfOther() error { return apierr.Value("secondary-addresses") }

func errAddressInUse() error { return errInUse("InvalidIPAddress.InUse") }

func errInUse(code string) error {
	return apierr.New(code, "The specified address is already in use.")
}

func errTooMany(code string) error {
	return apierr.New(code, "Number of private addresses will exceed limit.")
}

func errSubnetFull() error {
	return apierr.New("InsufficientFreeAddressesInSubnet",
		"The specified subnet does not have enough free addresses to satisfy the request.")
}

func errNotPositive(n int, parameter string) error {
	return apierr.Value("Value (%d) for parameter %s is invalid. Value must be a positive number.", n, parameter)
}

func errNotOnENI(id string) error {
	return apierr.Value("Some of the specified addresses are not assigned to interface %s", id)
}

func errPrimaryStays(a netip.Addr) error {
	return apierr.Value("Value (%s) for parameter privateIpAddress is invalid. "+
		"The primary IP address of an interface cannot be unassigned.", a)
}

// errPrimaryIPv6Stays is worded after its IPv4 sibling; AWS's text is unknown.
func errPrimaryIPv6Stays(a netip.Addr) error {
	return apierr.Value("Value (%s) for parameter ipv6Address is invalid. "+
		"The primary IPv6 address of an interface cannot be unassigned.", a)
}

func errIPv6InUse(code, message string, a netip.Addr, eni string) error {
	text := strings.NewReplacer("{address}", a.String(), "{eni}", eni).Replace(message)
	return apierr.New(code, "%s", text)
}

// errNoPrefix has both texts that were seen.
func errNoPrefix(code string) error {
	if code == "InsufficientCidrBlocks" {
		return apierr.New(code, "The specified subnet does not have enough free cidr blocks to satisfy the request.")
	}
	return apierr.New(code, "There aren't sufficient free Ipv4 addresses or prefixes")
}

func errDenied() error {
	return apierr.New("UnauthorizedOperation", "You are not authorized to perform this operation. "+
		"Encoded authorization failure message: c2ltdWxhdGVk")
}

func join(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
