package vpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Codes of failures that have none of AWS's.
const (
	// CodeUnreachable means no connection, no credentials, or no answer in time.
	CodeUnreachable = "Unreachable"
	// CodeEndless means a list that does not come to an end.
	CodeEndless = "EndlessList"
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
	// Skew is how far the worker's clock is ahead of EC2's, negative when it is
	// behind, where that may be why EC2 refused. Else it is zero.
	Skew time.Duration
	Err  error
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("EC2 %s: %s: %v", e.Action, e.Code, e.Err)
	if e.Skew != 0 {
		text += "; " + clockText(e.Skew)
	}
	return text
}

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

// SkewOf returns the skew of an error of this package.
func SkewOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Skew
	}
	return 0
}

// Message returns what EC2 said, without ids of requests, which differ from
// call to call, and what the clock has to do with it.
func Message(err error) string {
	text := CodeOf(err)
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorMessage() != "" {
		text = api.ErrorMessage()
	}
	if skew := SkewOf(err); skew != 0 {
		text += "; " + clockText(skew)
	}
	return text
}

// tolerance is the skew that EC2 takes, less the time that an answer may take.
// Beyond five minutes it says AuthFailure, as to an unknown key.
const tolerance = 4 * time.Minute

func clockText(skew time.Duration) string {
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	return fmt.Sprintf("the worker's clock is %d minutes %s AWS's: set it, such as by chronyd with 169.254.169.123",
		int(skew.Abs().Round(time.Minute)/time.Minute), direction)
}

// skewOf compares the Date of a refusal with the clock, if a wrong clock may be
// why EC2 refused.
func skewOf(err error, code string, now time.Time) time.Duration {
	switch code {
	case "AuthFailure", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed", "ExpiredToken":
	default:
		return 0
	}
	answer, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || answer.Response == nil {
		return 0
	}
	date, err := http.ParseTime(answer.Response.Header.Get("Date"))
	if skew := now.Sub(date); err == nil && skew.Abs() > tolerance {
		return skew
	}
	return 0
}

// newError finds out what an error of the SDK means. ctx is the caller's,
// without the deadline of the one call. A clock that is off makes the SDK sign
// the next call with the offset that it has learned from the answer's Date, and
// call its error one to be tried again, once.
func newError(ctx context.Context, action string, err error, now time.Time) *Error {
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
	e.Skew = skewOf(err, e.Code, now)
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
