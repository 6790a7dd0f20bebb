// Package lambda is AWS Lambda's runtime: events in, errors out. Lambda tries an
// event again whose invocation failed.
package lambda

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

// RuntimeVariable names the environment variable by which Lambda tells a program
// where its events come from.
const RuntimeVariable = "AWS_LAMBDA_RUNTIME_API"

// Serve hands each event to handle, one after the other, with a context that
// ends when Lambda ends the invocation. It does not return: the process ends
// when the runtime's interface fails.
func Serve(ctx context.Context, handle func(ctx context.Context, event []byte) error) {
	lambda.StartWithOptions(handler(handle), lambda.WithContext(ctx))
}

type handler func(context.Context, []byte) error

// Invoke handles one event. Nobody reads what an asynchronous invocation
// returns.
func (h handler) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	if err := h(ctx, event); err != nil {
		return nil, err
	}
	return []byte("null"), nil
}
