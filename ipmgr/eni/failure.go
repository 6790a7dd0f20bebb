package eni

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/credential"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/imds"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
)

// failure is one call that did not succeed: what went wrong, before it is told
// of an address.
type failure struct {
	action string // EC2 action
	eni    string // that the call was about; may be empty
	code   string
	text   string // what AWS or the network said
	source credential.Source
	clock  string // how wrong the worker's clock is, where that may be the cause
	err    error
}

// Error names the action, if there was one, and says what AWS said.
func (f *failure) Error() string { return strings.TrimPrefix(f.action+": "+f.text, ": ") }

// Unwrap returns the SDK's error.
func (f *failure) Unwrap() error { return f.err }

// meaningIn returns what err, of one call or nil, means.
func meaningIn(err error) fault.Meaning {
	if err == nil {
		return fault.Done
	}
	if f, ok := errors.AsType[*failure](err); ok {
		if m := fault.MeaningOfCode(f.code); m != fault.Unknown || f.status() < http.StatusInternalServerError {
			return m
		}
		return fault.Transient
	}
	if errors.Is(err, errTooManyTries) {
		return fault.Transient
	}
	return fault.Unknown
}

// status is the HTTP status of the answer, or 0 without one.
func (f *failure) status() int {
	if response, ok := errors.AsType[*awshttp.ResponseError](f.err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}

// noCode is what the SDK makes of an answer without an AWS error in it, which
// a proxy may have given.
const noCode = "UnknownError"

// newFailure reads the code out of an SDK error, however wrapped.
func newFailure(ctx context.Context, action, eni string, err error) *failure {
	f := &failure{action: action, eni: eni, err: err}
	code, text := diagnose(ctx, f)
	f.code, f.text = code, strings.ReplaceAll(text, "\n", "; ") // joined errors
	if source, ok := errors.AsType[*credential.Error](err); ok {
		f.source = source.Source
		f.text = "credentials from " + string(source.Source) + ": " + f.text
	}
	return f
}

func diagnose(ctx context.Context, f *failure) (code, text string) {
	var api smithy.APIError
	var certificate *tls.CertificateVerificationError
	var source *credential.Error
	var tooLong *wire.TooLongError
	fromSource := errors.As(f.err, &source)
	switch {
	case errors.Is(f.err, credential.ErrNone):
		return fault.CodeNoCredentials, source.Err.Error()
	case errors.As(f.err, &api) && api.ErrorCode() != noCode:
		return api.ErrorCode(), apiText(api, f.err)
	case errors.Is(f.err, wire.ErrNotAWS) && fromSource:
		return fault.CodeCredentials, innermost(f.err, wire.ErrNotAWS)
	case errors.Is(f.err, wire.ErrNotAWS):
		return fault.CodeUnknown, innermost(f.err, wire.ErrNotAWS)
	case errors.As(f.err, &tooLong) && !fromSource:
		return fault.CodeUnknown, tooLong.Error()
	case errors.As(f.err, &certificate):
		return fault.CodeCertificate, certificate.Err.Error()
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.CodeCanceled, "ipmgr is ending"
	case fromSource && isNetwork(f.err):
		return fault.CodeCredentials, networkText(f.err)
	case fromSource:
		return fault.CodeCredentials, source.Err.Error()
	case f.status() != 0 && api != nil:
		return fault.CodeUnknown, fmt.Sprintf("HTTP status %d without an AWS error code", f.status())
	case isNetwork(f.err):
		return fault.CodeUnreachable, networkText(f.err)
	}
	return fault.CodeUnknown, f.err.Error()
}

// innermost is the text of the error that wraps cause directly, without the
// SDK's layers.
func innermost(err, cause error) string {
	text := err.Error()
	if i := strings.Index(text, cause.Error()); i >= 0 {
		return text[i:]
	}
	return text
}

// apiText is AWS's message without the ciphertext that only an administrator
// can decode, and with the request's id, which AWS's support asks for.
func apiText(api smithy.APIError, err error) string {
	text, _, _ := strings.Cut(api.ErrorMessage(), " Encoded authorization failure message")
	text = strings.TrimSuffix(strings.TrimSpace(text), ".")
	var response *awshttp.ResponseError
	if errors.As(err, &response) && response.ServiceRequestID() != "" {
		text += " (request " + response.ServiceRequestID() + ")"
	}
	return text
}

func isNetwork(err error) bool {
	var network net.Error
	var request interface{ ConnectionError() bool } // smithyhttp.RequestSendError
	return errors.As(err, &network) || errors.As(err, &request) || errors.Is(err, context.DeadlineExceeded)
}

// networkText is the innermost telling error, without the SDK's layers.
func networkText(err error) string {
	var operation *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return name.Error()
	case errors.As(err, &operation):
		return operation.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// toFault tells a call of one address, or of none. It is nil when err is.
func toFault(err error, addr netip.Addr, eni string) error {
	if err == nil {
		return nil
	}
	return faultOf(err, addr, eni)
}

// faultOf tells a failed call of one address, or of none.
func faultOf(err error, addr netip.Addr, eni string) *fault.Error {
	if already, ok := errors.AsType[*fault.Error](err); ok {
		told := *already
		if !told.Addr.IsValid() {
			told.Addr = addr
		}
		return &told
	}
	var f *failure
	if !errors.As(err, &f) {
		return &fault.Error{Addr: addr, ENI: eni, Code: fault.CodeUnknown, Err: err}
	}
	m := meaningIn(err)
	return &fault.Error{
		Addr: addr, ENI: eni, Code: f.code, Err: f, Advice: advice(f, m),
		Meaning: m,
	}
}

// advice says what the user can do about a failed call, as an imperative clause.
func advice(f *failure, m fault.Meaning) string {
	if f.clock != "" {
		return "set the worker's clock, by Amazon's time service at 169.254.169.123 for example: " + f.clock
	}
	if f.source != "" && m != fault.Throttled {
		return adviceByCode(f)
	}
	switch m {
	case fault.Throttled:
		return "wait: EC2 limits the rate of calls for the whole account and Region"
	case fault.Expired:
		return "wait for new credentials, and check the worker's clock if this lasts"
	case fault.Missing:
		return "attach the ENI to the worker again, or move the pod"
	case fault.Refused:
		return "check that no AWS-reserved address (the first four and the last of the subnet), no other subnet's and none inside a prefix delegated to another ENI is used"
	case fault.Full:
		return "run fewer pods on this worker, remove stale secondary addresses from the ENI, or choose an instance type with more addresses per interface"
	case fault.Denied:
		return fmt.Sprintf("allow ec2:%s%s in the IAM policy of the pod's role", f.action, on(f.eni))
	}
	return adviceByCode(f)
}

func on(eni string) string {
	if eni == "" {
		return ""
	}
	return " on network-interface/" + eni
}

const adviceNoCredentials = "give the pod's service account a role (EKS Pod Identity or IRSA), or let pods reach the worker's instance role (IMDS hop limit 2)"

func adviceByCode(f *failure) string {
	switch f.code {
	case fault.CodeUnreachable, fault.CodeUnknown:
		return "check the pod's route to the EC2 endpoint (NAT gateway or VPC endpoint), its DNS, proxies and network policies"
	case fault.CodeCertificate:
		return "set AWS_CA_BUNDLE or SSL_CERT_FILE to the certificate authority of the EC2 endpoint or proxy"
	case fault.CodeNoCredentials:
		return adviceNoCredentials
	case fault.CodeNoRegion:
		return "set AWS_REGION"
	case "OptInRequired", "Blocked", "PendingVerification":
		return "check that the AWS account may use EC2 in this Region"
	}
	switch {
	case f.source == credential.InstanceRole: // the last resort: nothing else was set up
		return adviceNoCredentials
	case f.source != "" || fault.MeaningOfCode(f.code) == fault.Unsigned:
		return "check the credentials that the pod gets (service account, role and its trust policy) and the worker's clock"
	}
	return ""
}

// imdsFault tells why IMDS, which is the only source of ENIs, did not serve.
func imdsFault(err error) error {
	f := &fault.Error{Code: fault.CodeIMDS, Err: err}
	if errors.Is(err, imds.ErrUnavailable) {
		f.Advice = "raise the hop limit of the worker's instance metadata options to 2, or set IPMGR_DISCOVERY=auto or ec2"
	}
	return f
}

// codeIn returns the code of a failed call, or "".
func codeIn(err error) string {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	return ""
}
