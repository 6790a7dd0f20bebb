package eni

import "strings"

// meaning is what an AWS error code says about trying again.
type meaning int

const (
	done      meaning = iota // no error
	transient                // trying again may help
	throttled                // trying again later will help
	expired                  // trying again with new credentials will help
	gone                     // the ENI is detached or deleted: look at the worker again
	refused                  // one or more addresses of the call cannot be had as asked
	full                     // the ENI has no room for them all
	denied                   // IAM says no
	unsigned                 // the credentials are no good
	invalid                  // the request can never succeed
	unknown                  // a refusal that the table does not have
)

// permanent reports whether trying again cannot help.
func (m meaning) permanent() bool {
	return m == refused || m == full || m == denied || m == unsigned || m == invalid
}

// aboutAddresses reports whether a smaller call, or one for other addresses,
// may succeed where this one failed.
func (m meaning) aboutAddresses() bool { return m == refused || m == full || m == unknown }

// Codes of failures that never reached AWS or that AWS gave no code for. They
// stand where an AWS error code would.
const (
	CodeUnreachable   = "Unreachable"     // no connection, or no answer in time
	CodeIMDS          = "IMDSUnavailable" // IMDS was to be used and does not answer
	CodeCertificate   = "Certificate"     // the server's certificate is not trusted
	CodeNoCredentials = "NoCredentials"   // nothing in the environment gives credentials
	CodeCredentials   = "Credentials"     // a source of credentials failed
	CodeNoRegion      = "NoRegion"        // neither the environment nor IMDS names the Region
	CodeAmbiguous     = "AmbiguousWorker" // ENIs of several instances fit
	CodeCanceled      = "Canceled"        // ipmgr is ending
	CodeUnknown       = "Unknown"         // an answer without an AWS error code, or one that cannot be read
)

// meaningOf is the one table from error codes to meanings. EC2 has no modelled
// errors: the code is all there is to go by, and one code may stand for many
// mistakes (InvalidParameterValue), so that only a look at the owners of the
// addresses tells which; messages are never interpreted.
//
// Sources: EC2 API Reference, "Error codes for the Amazon EC2 API"; answers
// captured from EC2; [U] marks codes that were not seen on these calls.
func meaningOf(code string) meaning {
	switch code {
	case "":
		return done
	case CodeUnreachable, CodeCanceled, CodeCredentials, CodeIMDS, CodeUnknown,
		"InternalError", "InternalFailure", "InternalServerError", "ServerInternal",
		"ServiceUnavailable", "ServiceUnavailableException", "Unavailable",
		"IncorrectState", "IncorrectInstanceState", "ResourceCountExceeded",
		"IDPCommunicationError": // of the security token service
		return transient
	case "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException",
		"RequestThrottled", "RequestThrottledException", "TooManyRequestsException",
		"EC2ThrottledException", "BandwidthLimitExceeded", "SlowDown", "PriorRequestNotComplete":
		return throttled
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return expired
	case "InvalidNetworkInterfaceID.NotFound", "InvalidNetworkInterfaceId.NotFound", "InvalidInstanceID.NotFound":
		return gone
	case "InvalidParameterValue", "InvalidParameter", "InvalidIPAddress.InUse", "InvalidAddress.InUse":
		return refused
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
		return denied
	case "AuthFailure", "SignatureDoesNotMatch", "IncompleteSignature", "InvalidClientTokenId",
		"UnrecognizedClientException", "InvalidAccessKeyId", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "InvalidIdentityToken", "OptInRequired", "Blocked", "PendingVerification",
		CodeNoCredentials:
		return unsigned
	case "InvalidNetworkInterfaceID.Malformed", "InvalidNetworkInterfaceId.Malformed", "InvalidParameterCombination",
		"MissingParameter", "UnknownParameter", "InvalidAction", "UnsupportedOperation", "OperationNotPermitted",
		"DryRunOperation", CodeCertificate, CodeNoRegion, CodeAmbiguous:
		return invalid
	}
	return meaningOfForm(code)
}

// meaningOfForm judges codes of EC2's regular forms.
func meaningOfForm(code string) meaning {
	switch {
	case strings.HasSuffix(code, "LimitExceeded"): // PrivateIpAddressLimitExceeded, and IPv6's [U]
		return full
	case strings.HasSuffix(code, ".InUse"): // [U]
		return refused
	}
	return unknown
}
