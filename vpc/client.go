package vpc

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"
)

// defaultTimeout bounds one attempt where Options do not.
const defaultTimeout = 15 * time.Second

// Options are what a Client is made of. Every field but Config has a default.
type Options struct {
	// Config returns the SDK's configuration: Region, endpoint, credentials
	// (which it caches) and the client for HTTP. It is called by the first call
	// of EC2, and again by later ones until it succeeds. A *fault.Error that it
	// returns is the call's.
	Config func(context.Context) (aws.Config, error)
	// Name and Version are the user agent.
	Name, Version string
	// Attempts is how often a call is made while failures of it may pass. With
	// less than two the caller tries again. A call that was refused for the
	// worker's clock alone is always made once more.
	Attempts int
	// MaxBackoff bounds the random wait between attempts, which grows.
	MaxBackoff time.Duration
	// Timeout bounds one attempt, credentials and connection included.
	Timeout time.Duration
	// MaxAnswer bounds the body of an answer, in bytes. Zero means MaxAnswer.
	MaxAnswer int64
	// Reads and Writes limit the rate of attempts. Nil means no limit.
	Reads, Writes *rate.Limiter
	// Observe is called for every attempt, with its action, "ok" or the error code,
	// whether AWS throttled it, and how long it took. It may be called
	// concurrently. Nil observes nothing.
	Observe func(action, code string, throttled bool, took time.Duration)
	// Count is called for every attempt with the context of its call. It may be
	// called concurrently. Nil counts nothing.
	Count func(context.Context)
	// Logger is told once when the worker's clock is wrong. Nil discards.
	Logger *slog.Logger
	// Now tells the time. Nil means time.Now.
	Now func() time.Time
}

// Client makes calls of EC2, and is what a Service makes calls of another
// service by. It is safe for concurrent use.
type Client struct {
	opts Options
	ec2  *Service[ec2.Client]

	mu     sync.Mutex
	config *aws.Config // nil until it was read

	skewed atomic.Bool // a call was refused for the worker's clock
	warned atomic.Bool
}

// New returns a client. It makes no connection.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxAnswer == 0 {
		o.MaxAnswer = MaxAnswer
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = 8 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(string, string, bool, time.Duration) {}
	}
	if o.Count == nil {
		o.Count = func(context.Context) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{opts: o}
	c.ec2 = NewService(c, func(config aws.Config) *ec2.Client { return ec2.NewFromConfig(config) })
	return c
}

// configuration returns what the SDK's clients are made of, with our retries,
// bounds and reading of failures. The first call reads it: a pod whose addresses
// IMDS already shows never needs it.
func (c *Client) configuration(ctx context.Context) (aws.Config, error) {
	c.mu.Lock()
	read := c.config
	c.mu.Unlock()
	if read != nil {
		return *read, nil
	}
	config, err := c.opts.Config(ctx)
	if err != nil {
		return aws.Config{}, err
	}
	config.Credentials = sourced{config.Credentials}
	config.Retryer, config.RetryMaxAttempts = c.retryer, 0
	config.APIOptions = append(slices.Clone(config.APIOptions), Agent(c.opts.Name, c.opts.Version), Genuine(c.opts.MaxAnswer), c.attempts)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config == nil {
		c.config = &config
	}
	return *c.config, nil
}

// Agent is an API option of the SDK: it names the program in the user agent.
func Agent(name, version string) func(*middleware.Stack) error {
	return awsmiddleware.AddUserAgentKeyValue(name, version)
}

// Call makes one call of EC2, such as (*ec2.Client).DescribeSubnets. Its error
// is a *fault.Error.
func Call[In, Out any](ctx context.Context, c *Client, action string, in *In, method func(*ec2.Client, context.Context, *In, ...func(*ec2.Options)) (*Out, error)) (*Out, error) {
	return Ask(ctx, c.ec2, action, in, method)
}

// wait keeps to the rate that was agreed for an action.
func (c *Client) wait(ctx context.Context, action string) error {
	limiter := c.opts.Writes
	if strings.HasPrefix(action, "Describe") || strings.HasPrefix(action, "Get") {
		limiter = c.opts.Reads
	}
	if limiter == nil {
		return nil
	}
	return limiter.Wait(ctx)
}
