package nodegroup

import (
	"errors"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/spec"
)

// reasonOf is the one table from EC2's answers to reasons. What is not in it
// says nothing certain about the worker: a lost answer, an ENI or an index that
// somebody else was faster to take, a state that passes. Only another look tells.
func reasonOf(err error) (spec.Reason, bool) {
	failure, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return "", false
	}
	switch failure.Code {
	case "InsufficientFreeAddressesInSubnet":
		return spec.SubnetFull, true
	case "NetworkInterfaceLimitExceeded":
		return spec.Quota, true
	case "AttachmentLimitExceeded":
		return spec.ENILimit, true
	case "InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound", "InvalidGroupId.Malformed", "InvalidSecurityGroupId.Malformed":
		return spec.GroupMissing, true
	case "InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed":
		return spec.SubnetMissing, true
	case "InvalidParameterValue", "InvalidParameterCombination", "UnknownParameter":
		// Of other calls it is about the state of an instance or an ENI.
		return spec.SettingsReason, failure.Action == "CreateNetworkInterface"
	}
	return spec.NotAuthorised, failure.Meaning == fault.Denied
}

// creation is what an answer to CreateNetworkInterface says about the token.
type creation int

const (
	unclear     creation = iota // look again
	made                        // there is a new ENI
	addressUsed                 // somebody has the address, perhaps we
	tokenBound                  // an ENI of ours exists that the token made
	tokenStale                  // the ENI that the token made was deleted
)

// creationOf reads the answer to CreateNetworkInterface. EC2 has one code for
// both things that can be said about a token; only its words tell them apart.
func creationOf(err error) creation {
	failure, ok := errors.AsType[*fault.Error](err)
	switch {
	case err == nil:
		return made
	case !ok:
		return unclear
	}
	switch failure.Code {
	case "InvalidIPAddress.InUse":
		return addressUsed
	case "IdempotentParameterMismatch":
		if strings.Contains(failure.Said(), "stale") {
			return tokenStale
		}
		return tokenBound
	}
	return unclear
}
