package eni

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// clockTolerance is how far the worker's clock may be off before AWS refuses
// signatures: five minutes by its documentation, less a margin as the SDK has.
const clockTolerance = 4 * time.Minute

// clock is how far AWS's clock is ahead of the worker's, by the Date header of
// AWS's answers. The SDK signs each call by what the client's last answer said,
// so a call that was refused for its date may succeed the second time.
type clock struct {
	ahead  atomic.Int64 // time.Duration; by it the next call is signed
	warned atomic.Bool
}

// judge reports whether err, of a call that was signed by signedBy, may be of
// the worker's clock alone, and how far AWS's clock is ahead.
func (c *clock) judge(err error, signedBy time.Duration, now time.Time) (ahead time.Duration, wrong bool) {
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || response.HTTPResponse() == nil {
		return 0, false
	}
	date, parseErr := http.ParseTime(response.HTTPResponse().Header.Get("Date"))
	if parseErr != nil {
		return 0, false
	}
	ahead = date.Sub(now)
	c.ahead.Store(int64(ahead))
	return ahead, (ahead - signedBy).Abs() > clockTolerance
}

// off reports whether AWS's clock is too far ahead or behind for a
// signature by the worker's clock.
func off(ahead time.Duration) bool { return ahead.Abs() > clockTolerance }

// clockText says how wrong the worker's clock is.
func clockText(ahead time.Duration) string {
	direction := "behind"
	if ahead < 0 {
		direction = "ahead of"
	}
	return fmt.Sprintf("the worker's clock is %d minutes %s AWS's", int(ahead.Abs().Round(time.Minute).Minutes()), direction)
}

// ofClock reports whether a code may be AWS's answer to a wrong date. Each
// stands for other mistakes, too.
func ofClock(code string) bool {
	switch code {
	case "AuthFailure", "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature",
		"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture", "AccessDeniedException":
		return true
	}
	return false
}
