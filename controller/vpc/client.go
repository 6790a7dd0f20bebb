package vpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"github.com/multus-ipmgr/multus-ipmgr/controller/backoff"
)

// How EC2 is asked. Its token buckets hold 100 reads refilled at 20 a second,
// and 5 changes of reservations refilled at 1 a second, for the whole account
// ("Request throttling for the Amazon EC2 API"); the controller leaves most of
// them to others.
const (
	callTimeout = 15 * time.Second
	attempts    = 4
	readRate    = 5
	readBurst   = 20
	writeRate   = 0.5
	writeBurst  = 2
)

// Options are what a Client needs beyond the environment. Every field has a
// default.
type Options struct {
	// Config is the SDK's configuration. Nil means the environment's: Region,
	// credentials and AWS_ENDPOINT_URL_EC2 are set there.
	Config *aws.Config
	// Version ends the user agent, multus-ipmgr-controller/VERSION.
	Version string
	// Observe is told of every call: its action, and "ok" or the error code. It
	// may be called concurrently. Nil observes nothing.
	Observe func(action, code string, throttled bool)
	// Backoff is the wait between attempts. The zero value means half a second
	// to 8 seconds.
	Backoff backoff.Backoff
	// Now tells the time. Nil means time.Now.
	Now func() time.Time
}

// Client asks EC2. It is safe for concurrent use.
type Client struct {
	ec2     *ec2.Client
	observe func(action, code string, throttled bool)
	backoff backoff.Backoff
	now     func() time.Time
	reads   *rate.Limiter
	writes  *rate.Limiter
}

// New returns a client. It makes no EC2 call, but fails when nothing names the
// Region.
func New(ctx context.Context, o Options) (*Client, error) {
	config, err := configuration(ctx, o.Config)
	if err != nil {
		return nil, err
	}
	c := &Client{
		observe: o.Observe, backoff: o.Backoff, now: o.Now,
		reads:  rate.NewLimiter(readRate, readBurst),
		writes: rate.NewLimiter(writeRate, writeBurst),
	}
	if c.observe == nil {
		c.observe = func(string, string, bool) {}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.backoff.Rand == nil {
		c.backoff = backoff.Backoff{Base: 500 * time.Millisecond, Max: 8 * time.Second, Rand: rand.Float64}
	}
	c.ec2 = ec2.NewFromConfig(config, func(eo *ec2.Options) {
		eo.Retryer = aws.NopRetryer{} // call retries
		eo.APIOptions = append(eo.APIOptions, agent(o.Version))
	})
	return c, nil
}

func agent(version string) func(*middleware.Stack) error {
	return awsmiddleware.AddUserAgentKeyValue("multus-ipmgr-controller", version)
}

func configuration(ctx context.Context, given *aws.Config) (aws.Config, error) {
	if given != nil {
		return *given, nil
	}
	config, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("reading the AWS settings of the environment: %w", err)
	}
	if config.Region == "" {
		return aws.Config{}, errors.New("no AWS Region: set AWS_REGION to the Region of the subnets")
	}
	return config, nil
}

// call makes an EC2 call until it succeeds, is refused, or has failed too
// often. Its error is an *Error.
func call[In, Out any](ctx context.Context, c *Client, limiter *rate.Limiter, action string, in *In, method func(*ec2.Client, context.Context, *In, ...func(*ec2.Options)) (*Out, error)) (*Out, error) {
	for attempt := 1; ; attempt++ {
		if err := limiter.Wait(ctx); err != nil {
			return nil, newError(ctx, action, err, c.now())
		}
		out, err := once(ctx, c, in, method)
		if err == nil {
			c.observe(action, "ok", false)
			return out, nil
		}
		failure := newError(ctx, action, err, c.now())
		c.observe(action, failure.Code, failure.Kind == Throttled)
		again := failure.Kind == Throttled || failure.Kind == Transient
		if !again || attempt == attempts || !sleep(ctx, c.backoff.Delay(attempt)) {
			return nil, failure
		}
	}
}

func once[In, Out any](ctx context.Context, c *Client, in *In, method func(*ec2.Client, context.Context, *In, ...func(*ec2.Options)) (*Out, error)) (*Out, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return method(c.ec2, ctx, in)
}

// sleep reports false when ctx ended before d had passed.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// parse parses the ranges that can be parsed: AWS leaves some empty.
func parse(cidrs ...*string) []netip.Prefix {
	var list []netip.Prefix
	for _, cidr := range cidrs {
		if prefix, err := netip.ParsePrefix(aws.ToString(cidr)); err == nil {
			list = append(list, prefix)
		}
	}
	return list
}
