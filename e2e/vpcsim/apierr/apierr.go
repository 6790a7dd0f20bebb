// Package apierr is a refusal as EC2 words it: a code, a sentence and an HTTP
// status. Every part of the simulator that refuses uses it, and only the edge
// renders it.
package apierr

import (
	"fmt"
	"net/http"
)

// Error is one refusal.
type Error struct {
	// Code is the AWS error code, such as InvalidParameterValue.
	Code string
	// Message is the sentence AWS gives with the code.
	Message string
	// Status is the HTTP status of the answer.
	Status int
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// New returns a refusal with the status that EC2 gives the code.
func New(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: StatusOf(code)}
}

// Value returns the most frequent refusal, InvalidParameterValue.
func Value(format string, args ...any) *Error {
	return New("InvalidParameterValue", format, args...)
}

// Missing says that a required parameter is absent.
func Missing(parameter string) *Error {
	return New("MissingParameter", "The request must contain the parameter %s", parameter)
}

// StatusOf returns the HTTP status that EC2 gives a code: 400, save for those
// that the EC2 API reference lists otherwise.
func StatusOf(code string) int {
	switch code {
	case "AuthFailure":
		return http.StatusUnauthorized
	case "MissingAuthenticationToken", "UnauthorizedOperation", "AccessDenied":
		return http.StatusForbidden
	case "DryRunOperation":
		return http.StatusPreconditionFailed
	case "InternalError", "InternalFailure":
		return http.StatusInternalServerError
	case "RequestLimitExceeded", "ServiceUnavailable", "Unavailable":
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}
