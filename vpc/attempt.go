package vpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/middleware"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
)

// retryer is the SDK's, with our reading of failures.
func (c *Client) retryer() aws.Retryer {
	backoff := retry.NewExponentialJitterBackoff(c.opts.MaxBackoff)
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = max(c.opts.Attempts, 2)
		o.RateLimiter = ratelimit.None // Reads and Writes limit more than retries
		o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(c.retryable)}
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
			if ofClock(err) {
				return 0, nil
			}
			return backoff.BackoffDelay(attempt, err)
		})
	})
}

func (c *Client) retryable(err error) aws.Ternary {
	again := c.opts.Attempts > 1 && fault.MeaningOf(err).Passes()
	return aws.BoolTernary(again || ofClock(err))
}

// ofClock reports whether a call was refused because it was signed by a wrong
// clock alone. The SDK signs the next attempt by the Date of the answer.
func ofClock(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Skew == 0 {
		return false
	}
	var signedWrong interface{ RetryableError() bool } // the SDK says it of what it knows
	return errors.As(err, &signedWrong) && signedWrong.RetryableError() || f.Meaning == fault.Expired
}

// attempts is an API option: it puts each attempt of a call under our limits.
func (c *Client) attempts(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("BoundedAttempt", c.attempt), "Retry", middleware.After)
}

// attempt makes a call once. Its error is a *fault.Error.
func (c *Client) attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	action := middleware.GetOperationName(ctx)
	if err := c.wait(ctx, action); err != nil {
		return middleware.FinalizeOutput{}, middleware.Metadata{}, c.read(ctx, action, err)
	}
	bounded, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	c.opts.Count(ctx)
	start := c.opts.Now()
	out, metadata, err := next.HandleFinalize(bounded, in)
	took := c.opts.Now().Sub(start)
	if err == nil {
		c.observe(action, nil, took)
		return out, metadata, nil
	}
	f := c.read(ctx, action, err)
	c.observe(action, f, took)
	return out, metadata, f
}

// observe takes note of how an attempt ended.
func (c *Client) observe(action string, f *fault.Error, took time.Duration) {
	if f == nil {
		c.opts.Observe(action, "ok", false, took)
		if c.skewed.Load() && !c.warned.Swap(true) {
			c.opts.Logger.Warn("the worker's clock is wrong, calls are signed by AWS's")
		}
		return
	}
	c.opts.Observe(action, f.Code, f.Meaning == fault.Throttled, took)
	if f.Skew != 0 {
		c.skewed.Store(true)
	}
	if f.Meaning == fault.Expired {
		c.renewCredentials()
	}
}

// renewCredentials makes the next attempt of any service fetch new ones.
func (c *Client) renewCredentials() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config != nil {
		invalidate(c.config.Credentials)
	}
}

// sourced marks failures to get credentials.
type sourced struct{ aws.CredentialsProvider }

// Retrieve gets credentials. Those without keys are none: the SDK would sign
// with them, and keep them.
func (s sourced) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if s.CredentialsProvider == nil {
		return aws.Credentials{}, &sourceError{error: ErrNoCredentials}
	}
	credentials, err := s.CredentialsProvider.Retrieve(ctx)
	if err == nil && !credentials.HasKeys() {
		invalidate(s.CredentialsProvider)
		err = fmt.Errorf("%w: it holds no credentials", ErrNotAWS)
	}
	if err != nil {
		return aws.Credentials{}, &sourceError{err, s.isInstanceRole()}
	}
	return credentials, nil
}

// isInstanceRole reports whether the credentials come from IMDS.
func (s sourced) isInstanceRole() bool {
	provider, ok := s.CredentialsProvider.(aws.CredentialProviderSource)
	return ok && slices.Contains(provider.ProviderSources(), aws.CredentialSourceIMDS)
}

// Invalidate makes the next call fetch new ones.
func (s sourced) Invalidate() { invalidate(s.CredentialsProvider) }

func invalidate(provider aws.CredentialsProvider) {
	if cache, ok := provider.(interface{ Invalidate() }); ok {
		cache.Invalidate()
	}
}

// ErrNoCredentials means that nothing in the environment can give credentials.
var ErrNoCredentials = errors.New("no credentials")

// sourceError is a failure to get credentials, as opposed to a refusal of them.
type sourceError struct {
	error

	instanceRole bool
}

// Unwrap returns the cause.
func (e *sourceError) Unwrap() error { return e.error }

// OfInstanceRole reports whether err is a failure to get the credentials of the
// worker's role, which the SDK asks for where nothing else was set up.
func OfInstanceRole(err error) bool {
	source, ok := errors.AsType[*sourceError](err)
	return ok && source.instanceRole
}
