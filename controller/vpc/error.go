package vpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// Codes of failures that have none of AWS's.
const (
	// CodeUnreachable means no connection, no credentials, or no answer in time.
	CodeUnreachable = "Unreachable"
	// CodeCanceled means that the controller is ending.
	CodeCanceled = "Canceled"
)

// Kind is what an error says about trying again.
type Kind int

// The kinds of errors.
const (
	Failed    Kind = iota // a refusal that only a person can mend
	Transient             // EC2 does not answer, or not sensibly
	Throttled             // EC2 asks for fewer calls
	Denied                // IAM says no
	Missing               // what the call names does not exist
)

// Error is a call that failed.
type Error struct {
	Action string // such as GetSubnetCidrReservations
	Code   string // AWS's error code, or one of this package
	Kind   Kind
	Err    error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("EC2 %s: %s: %v", e.Action, e.Code, e.Err) }

// Unwrap returns the error of the SDK.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error of this package.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Failed
}

// CodeOf returns the code of an error of this package, or "" if it is none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// Message returns what EC2 said, without ids of requests, which differ from
// call to call.
func Message(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorMessage() != "" {
		return api.ErrorMessage()
	}
	return CodeOf(err)
}

// newError finds out what an error of the SDK means. ctx is the caller's,
// without the deadline of the one call.
func newError(ctx context.Context, action string, err error) *Error {
	e := &Error{Action: action, Code: CodeUnreachable, Kind: Transient, Err: err}
	api, ok := errors.AsType[smithy.APIError](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Code, e.Kind = CodeCanceled, Failed
		return e
	case !ok:
		return e
	}
	e.Code = api.ErrorCode()
	switch {
	case retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary:
		e.Kind = Throttled
	case retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary:
	default:
		e.Kind = kindOf(e.Code)
	}
	return e
}

// kindOf looks at codes that no retry by the SDK would mend.
// Source: EC2 API Reference, "Error codes for the Amazon EC2 API".
func kindOf(code string) Kind {
	switch code {
	case "UnauthorizedOperation", "AuthFailure", "OptInRequired", "InvalidClientTokenId", "SignatureDoesNotMatch":
		return Denied
	case "ExpiredToken", "RequestExpired", "InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable":
		return Transient
	case "InvalidSubnetID.NotFound", "InvalidSubnetCidrReservationID.NotFound":
		return Missing
	default:
		return Failed
	}
}
