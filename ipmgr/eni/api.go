package eni

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/credential"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/imds"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
)

// callTimeout bounds one EC2 call, credentials and connection included.
const callTimeout = 10 * time.Second

// connection is the EC2 client, made by the first call that needs it: a pod
// whose addresses IMDS already shows never makes one.
type connection struct {
	cloud *Cloud
	clock clock

	mu          sync.Mutex
	client      *ec2.Client
	credentials *aws.CredentialsCache
}

// api is the EC2 API as far as this package uses it.
type api struct{ *connection }

func newAPI(c *Cloud) api { return api{&connection{cloud: c}} }

// errNoRegion stands for everything that could name the Region and does not.
var errNoRegion = errors.New("neither AWS_REGION nor the instance metadata names the Region")

func (a api) connect(ctx context.Context) (*ec2.Client, error) {
	a.mu.Lock()
	client := a.client
	a.mu.Unlock()
	if client != nil {
		return client, nil
	}
	region, err := a.region(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client == nil {
		a.client, a.credentials = a.cloud.newClient(region)
	}
	return a.client, nil
}

func (a api) region(ctx context.Context) (string, error) {
	c := a.cloud
	if region := cmp.Or(c.opts.Getenv("AWS_REGION"), c.opts.Getenv("AWS_DEFAULT_REGION")); region != "" {
		return region, nil
	}
	region, err := c.imds.Get(ctx, "placement/region")
	if errors.Is(err, imds.ErrUnavailable) || errors.Is(err, imds.ErrNotFound) {
		return "", &failure{code: fault.CodeNoRegion, text: errNoRegion.Error(), err: errors.Join(errNoRegion, err)}
	}
	return region, err
}

func (c *Cloud) newClient(region string) (*ec2.Client, *aws.CredentialsCache) {
	calls := []func(*middleware.Stack) error{awsmiddleware.AddUserAgentKeyValue("multus-ipmgr", c.opts.Version), wire.Genuine}
	credentials, _ := credential.Chain(credential.Options{
		Getenv: c.opts.Getenv, HTTP: c.remote, Local: c.local, IMDS: c.imds, Region: region, APIOptions: calls,
	})
	endpoint := wire.EndpointOf("EC2", c.opts.Getenv)
	return ec2.New(ec2.Options{
		Region:       region,
		Credentials:  credentials,
		HTTPClient:   c.remote,
		Retryer:      aws.NopRetryer{}, // the loop retries
		BaseEndpoint: endpoint.URL,
		APIOptions:   calls,
		EndpointOptions: ec2.EndpointResolverOptions{
			UseFIPSEndpoint:      endpoint.FIPS,
			UseDualStackEndpoint: endpoint.DualStack,
		},
	}), credentials
}

// invoke makes one EC2 call, and once more when it was refused for the worker's
// clock. Its error is a *failure.
func invoke[In, Out any](ctx context.Context, a api, action, eni string, in *In, method func(*ec2.Client, context.Context, *In, ...func(*ec2.Options)) (*Out, error)) (*Out, error) {
	signedBy := time.Duration(a.clock.ahead.Load())
	out, f := attempt(ctx, a, action, eni, in, method)
	if f == nil || !ofClock(f.code) {
		return out, asError(f)
	}
	ahead, wrong := a.clock.judge(f.err, signedBy, a.cloud.opts.Now())
	if wrong {
		out, f = attempt(ctx, a, action, eni, in, method)
	}
	switch {
	case f != nil && ofClock(f.code) && off(ahead):
		f.clock = clockText(ahead)
	case f == nil && !a.clock.warned.Swap(true):
		a.cloud.opts.Logger.Warn("the worker's clock is wrong, calls are signed by AWS's", "error", clockText(ahead))
	}
	return out, asError(f)
}

// asError keeps a nil *failure from becoming an error.
func asError(f *failure) error {
	if f == nil {
		return nil
	}
	return f
}

// attempt makes one EC2 call.
func attempt[In, Out any](ctx context.Context, a api, action, eni string, in *In, method func(*ec2.Client, context.Context, *In, ...func(*ec2.Options)) (*Out, error)) (*Out, *failure) {
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client, err := a.connect(bounded)
	start := a.cloud.opts.Now()
	var out *Out
	if err == nil {
		out, err = method(client, bounded, in)
	}
	took := a.cloud.opts.Now().Sub(start)
	if err == nil {
		a.cloud.opts.Observe(action, "ok", false, took)
		return out, nil
	}
	var f *failure
	if !errors.As(err, &f) {
		f = newFailure(ctx, action, eni, err)
	}
	if fault.MeaningOfCode(f.code) == fault.Expired {
		a.credentials.Invalidate()
	}
	a.cloud.opts.Observe(action, f.code, fault.MeaningOfCode(f.code) == fault.Throttled, took)
	return nil, f
}
