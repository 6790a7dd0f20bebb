package vpc

import (
	"context"
	"log/slog"
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
	// Logger is told once when the worker's clock is wrong. Nil discards.
	Logger *slog.Logger
	// Now tells the time. Nil means time.Now.
	Now func() time.Time
}

// Client makes calls of EC2. It is safe for concurrent use.
type Client struct {
	opts Options

	mu          sync.Mutex
	api         *ec2.Client
	credentials aws.CredentialsProvider

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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{opts: o}
}

// connect returns the SDK's client, which the first call makes: a pod whose
// addresses IMDS already shows never needs one.
func (c *Client) connect(ctx context.Context) (*ec2.Client, error) {
	c.mu.Lock()
	api := c.api
	c.mu.Unlock()
	if api != nil {
		return api, nil
	}
	config, err := c.opts.Config(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api == nil {
		c.credentials = config.Credentials
		c.api = ec2.NewFromConfig(config, c.configure)
	}
	return c.api, nil
}

func (c *Client) configure(o *ec2.Options) {
	o.Credentials = sourced{o.Credentials}
	o.Retryer, o.RetryMaxAttempts = c.retryer(), 0
	o.APIOptions = append(o.APIOptions, Agent(c.opts.Name, c.opts.Version), Genuine(c.opts.MaxAnswer), c.attempts)
}

// Agent is an API option of the SDK: it names the program in the user agent.
func Agent(name, version string) func(*middleware.Stack) error {
	return awsmiddleware.AddUserAgentKeyValue(name, version)
}

// Call makes one call of EC2, such as (*ec2.Client).DescribeSubnets. Its error
// is a *fault.Error.
func Call[In, Out any](ctx context.Context, c *Client, action string, in *In, method func(*ec2.Client, context.Context, *In, ...func(*ec2.Options)) (*Out, error)) (*Out, error) {
	connecting, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	api, err := c.connect(connecting)
	if err != nil {
		f := c.read(ctx, action, err)
		c.observe(action, f, 0)
		return nil, f
	}
	out, err := method(api, ctx, in)
	if err != nil {
		return nil, c.read(ctx, action, err)
	}
	return out, nil
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
