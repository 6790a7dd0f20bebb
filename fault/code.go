package fault

import "strings"

// Codes of refusals that ipmgr finds without asking EC2. They stand where an
// AWS error code would.
const (
	CodeOutsideSubnet  = "OutsideSubnet"  // no subnet of the ENI contains the address
	CodeOutsidePools   = "OutsidePools"   // IPMGR_POOLS does not contain the address
	CodePrimaryENI     = "PrimaryENI"     // the ENI is the worker's first, which the VPC CNI manages
	CodePrimaryAddress = "PrimaryAddress" // the address is the primary of another ENI
	CodeForeignOwner   = "ForeignOwner"   // another ENI holds the address and may not lose it
	CodeNotVisible     = "NotVisible"     // assigned, and the cloud does not show it yet
	CodeNoAddress      = "NoAddress"      // a required interface carries no address, or does not exist
	CodeTakenOver      = "TakenOver"      // another ENI took the address from the one it belongs to
	CodeNoENI          = "NoENI"          // no ENI of the worker was found
	CodePending        = "Pending"        // not tried yet, or under way
	CodeKernel         = "Kernel"         // the kernel did not list the pod's addresses
)

// Codes of failures that never reached AWS, or that AWS gave no code for.
const (
	CodeUnreachable   = "Unreachable"     // no connection, or no answer in time
	CodeIMDS          = "IMDSUnavailable" // IMDS was to be used and does not answer
	CodeCertificate   = "Certificate"     // the server's certificate is not trusted
	CodeNoCredentials = "NoCredentials"   // nothing in the environment gives credentials
	CodeCredentials   = "Credentials"     // a source of credentials failed
	CodeSettings      = "InvalidSettings" // the AWS settings of the environment or its files cannot be used
	CodeNoRegion      = "NoRegion"        // neither the environment nor IMDS names the Region
	CodeAmbiguous     = "AmbiguousWorker" // ENIs of several instances fit
	CodeEndless       = "EndlessList"     // a list does not come to an end
	CodeCanceled      = "Canceled"        // the program is ending
	CodeUnknown       = "Unknown"         // an answer without an AWS error code, or one that cannot be read
)

// Meaning is what a failure says about trying again.
type Meaning int

// The meanings of failures. The zero Meaning is Transient.
const (
	Transient Meaning = iota // trying again may help
	Done                     // no failure
	Throttled                // trying again later will help: AWS asks for fewer calls, of everybody
	Expired                  // trying again with new credentials will help
	Missing                  // what the call names is not there (any more): look again before the next try
	Refused                  // what the call asks for cannot be had as asked
	Full                     // there is no room for all that the call asks for
	Denied                   // IAM says no
	Unsigned                 // AWS rejects the credentials
	Invalid                  // the request can never succeed
	Unknown                  // a refusal that the table does not have
)

// Permanent reports whether trying again cannot help.
func (m Meaning) Permanent() bool {
	return m == Refused || m == Full || m == Denied || m == Unsigned || m == Invalid
}

// AboutParts reports whether a smaller call, or one for other things, may
// succeed where this one failed.
func (m Meaning) AboutParts() bool { return m == Refused || m == Full || m == Unknown }

// Passes reports whether the same call may soon succeed without anybody's doing.
func (m Meaning) Passes() bool { return m == Transient || m == Throttled || m == Expired }

// MeaningOfCode is the one table from error codes to meanings. EC2 has no
// modelled errors: the code is all there is to go by, and one code may stand
// for many mistakes (InvalidParameterValue), so that only another look tells
// which; messages are never interpreted.
//
// Sources: EC2 API Reference, "Error codes for the Amazon EC2 API"; answers
// captured from EC2; [U] marks codes that were not seen.
func MeaningOfCode(code string) Meaning {
	switch code {
	case "":
		return Done
	case CodeUnreachable, CodeCanceled, CodeCredentials, CodeIMDS, CodeUnknown, CodeEndless,
		"InternalError", "InternalFailure", "InternalServerError", "ServerInternal",
		"ServiceUnavailable", "ServiceUnavailableException", "Unavailable",
		"RequestTimeout", "RequestTimeoutException",
		"IncorrectState", "IncorrectInstanceState", "ResourceCountExceeded",
		"IDPCommunicationError": // of the security token service
		return Transient
	case "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException",
		"RequestThrottled", "RequestThrottledException", "TooManyRequestsException",
		"EC2ThrottledException", "BandwidthLimitExceeded", "SlowDown", "PriorRequestNotComplete":
		return Throttled
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return Expired
	case "InvalidParameterValue", "InvalidParameter", "InvalidIPAddress.InUse", "InvalidAddress.InUse":
		return Refused
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
		return Denied
	case "AuthFailure", "SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignatureException", "InvalidClientTokenId",
		"UnrecognizedClientException", "InvalidAccessKeyId", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "InvalidIdentityToken", "OptInRequired", "Blocked", "PendingVerification",
		"RequestTimeTooSkewed", "RequestInTheFuture", CodeNoCredentials:
		return Unsigned
	case "InvalidNetworkInterfaceID.Malformed", "InvalidNetworkInterfaceId.Malformed", "InvalidParameterCombination",
		"MissingParameter", "UnknownParameter", "InvalidAction", "UnsupportedOperation", "OperationNotPermitted",
		"DryRunOperation", CodeCertificate, CodeSettings, CodeNoRegion, CodeAmbiguous:
		return Invalid
	}
	return meaningOfForm(code)
}

// meaningOfForm judges codes of EC2's regular forms.
func meaningOfForm(code string) Meaning {
	switch {
	case strings.HasSuffix(code, ".NotFound"): // InvalidNetworkInterfaceID.NotFound, InvalidSubnetID.NotFound, ...
		return Missing
	case strings.HasSuffix(code, "LimitExceeded"): // PrivateIpAddressLimitExceeded, and IPv6's [U]
		return Full
	case strings.HasSuffix(code, ".InUse"): // [U]
		return Refused
	}
	return Unknown
}
