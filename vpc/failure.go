package vpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// noCode is what the SDK makes of an answer without an AWS error in it, which
// a proxy may have given.
const noCode = "UnknownError"

// read finds out what an error of the SDK means, however wrapped. ctx is the
// caller's, without the deadline of the one attempt.
func (c *Client) read(ctx context.Context, action string, err error) *fault.Error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	f := &fault.Error{Action: action, Err: err}
	var text string
	f.Code, text = diagnose(ctx, err)
	f.Text = strings.ReplaceAll(text, "\n", "; ") // joined errors
	f.Meaning = meaningOf(f.Code, err)
	response, answered := errors.AsType[*awshttp.ResponseError](err)
	if answered && f.Text != "" {
		f.Request = response.ServiceRequestID()
	}
	if answered && response.HTTPResponse() != nil {
		f.Skew = skewOf(f.Code, response.HTTPResponse().Header.Get("Date"), c.opts.Now())
	}
	if f.Skew != 0 {
		f.Advice = clockAdvice(f.Skew)
	}
	return f
}

// meaningOf is what the table says, but for two things that a code alone does
// not tell: a server that fails may recover, and a refusal by those who give
// credentials is not one of the call.
func meaningOf(code string, err error) fault.Meaning {
	meaning := fault.MeaningOfCode(code)
	switch {
	case meaning == fault.Unknown && statusOf(err) >= http.StatusInternalServerError:
		return fault.Transient
	case !fromSource(err):
		return meaning
	case meaning == fault.Unknown || meaning.Permanent() || meaning == fault.Missing:
		return fault.Unsigned
	}
	return meaning
}

func fromSource(err error) bool {
	_, ok := errors.AsType[*sourceError](err)
	return ok
}

// statusOf is the HTTP status of the answer, or 0 without one.
func statusOf(err error) int {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}

// diagnose returns AWS's error code or one of ours, and what is to be said.
func diagnose(ctx context.Context, err error) (code, text string) {
	source, sourced := errors.AsType[*sourceError](err)
	if !sourced {
		return diagnoseCall(ctx, err)
	}
	code, text = diagnoseCall(ctx, source)
	switch {
	case errors.Is(err, ErrNoCredentials):
		code, text = fault.CodeNoCredentials, source.Error()
	case code == fault.CodeUnreachable, code == fault.CodeUnknown:
		code = fault.CodeCredentials
	}
	return code, "getting credentials: " + text
}

func diagnoseCall(ctx context.Context, err error) (code, text string) {
	var api smithy.APIError
	var certificate *tls.CertificateVerificationError
	var tooLong *TooLongError
	switch {
	case errors.As(err, &api) && api.ErrorCode() != noCode && api.ErrorCode() != "":
		return api.ErrorCode(), apiText(api)
	case errors.Is(err, ErrNotAWS):
		return fault.CodeUnknown, textFrom(err, ErrNotAWS)
	case errors.As(err, &tooLong):
		return fault.CodeUnknown, tooLong.Error()
	case errors.As(err, &certificate):
		return fault.CodeCertificate, certificate.Err.Error()
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.CodeCanceled, "the program is ending"
	case statusOf(err) != 0 && api != nil:
		return fault.CodeUnknown, fmt.Sprintf("HTTP status %d without an AWS error code", statusOf(err))
	case api != nil && api.ErrorCode() == "": // of an agent that gives credentials
		return fault.CodeUnknown, "the service says: " + strings.TrimSpace(api.ErrorMessage())
	case isNetwork(err):
		return fault.CodeUnreachable, networkText(err)
	}
	return fault.CodeUnknown, err.Error()
}

// textFrom is the text of the error that wraps cause directly, without the
// SDK's layers.
func textFrom(err, cause error) string {
	text := err.Error()
	if i := strings.Index(text, cause.Error()); i >= 0 {
		return text[i:]
	}
	return text
}

// apiText is AWS's message without the ciphertext that only an administrator
// can decode.
func apiText(api smithy.APIError) string {
	text, _, _ := strings.Cut(api.ErrorMessage(), " Encoded authorization failure message")
	return strings.TrimSuffix(strings.TrimSpace(text), ".")
}

func isNetwork(err error) bool {
	var network net.Error
	var request interface{ ConnectionError() bool } // smithyhttp.RequestSendError
	return errors.As(err, &network) || errors.As(err, &request) || errors.Is(err, context.DeadlineExceeded)
}

// networkText is the innermost error that says something, without the SDK's
// layers.
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

// Message returns what EC2 said, without ids of requests, which differ from
// call to call, and what the clock has to do with it. It is the same for the
// same trouble.
func Message(err error) string {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return ""
	}
	text := f.Code
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorMessage() != "" {
		text = api.ErrorMessage()
	}
	if f.Skew != 0 {
		text += "; " + f.Advice
	}
	return text
}

// clockTolerance is how far the worker's clock may be off before AWS refuses
// signatures: five minutes by its documentation, less a margin as the SDK has.
const clockTolerance = 4 * time.Minute

// skewOf compares the Date of a refusal with the worker's clock, if a wrong
// clock may be why AWS refused. Each of the codes stands for other mistakes,
// too.
func skewOf(code, date string, now time.Time) time.Duration {
	switch code {
	case "AuthFailure", "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature",
		"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture", "AccessDeniedException", "ExpiredToken":
	default:
		return 0
	}
	at, err := http.ParseTime(date)
	if skew := now.Sub(at); err == nil && skew.Abs() > clockTolerance {
		return skew
	}
	return 0
}

// clockAdvice says how wrong the worker's clock is, and what to do about it.
func clockAdvice(skew time.Duration) string {
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	return fmt.Sprintf("set the worker's clock, for example by Amazon's time service at 169.254.169.123: the worker's clock is %d minutes %s AWS's",
		int(skew.Abs().Round(time.Minute)/time.Minute), direction)
}
