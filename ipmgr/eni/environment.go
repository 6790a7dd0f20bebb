package eni

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// expiryWindow is how long before their end credentials are renewed.
const expiryWindow = time.Minute

// environment is the AWS settings, as the SDK reads them, and the clients for
// HTTP, whose connections leave by the pod's primary interface.
type environment struct {
	opts  Options
	local *http.Client // services on the worker
	imds  *metadataService

	mu     sync.Mutex
	config aws.Config
	remote *http.Client // AWS's APIs, by the settings
}

// errNoRegion stands for everything that could name the Region and does not.
var errNoRegion = errors.New("neither AWS_REGION nor the instance metadata names the Region")

func newEnvironment(ctx context.Context, opts Options, reprobe time.Duration) (*environment, error) {
	e := &environment{opts: opts, local: wire.Local(opts.dialService)}
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	e.imds = newMetadataService(e.config, e.local, reprobe, opts.Now)
	return e, nil
}

// load reads the settings; options stand before those of the environment.
func (e *environment) load(ctx context.Context, options ...func(*awsconfig.LoadOptions) error) error {
	config, err := vpc.Load(ctx, slices.Concat(e.options(), e.opts.AWS, options)...)
	if err != nil {
		return err
	}
	client, ok := config.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return fmt.Errorf("the AWS SDK uses a %T, which is not ours", config.HTTPClient)
	}
	e.remote = wire.Kept(client)
	config.HTTPClient, config.APIOptions = e.remote, nil // package vpc has options of its own
	e.config = config
	return nil
}

// options make the SDK's chain of credentials use our clients. Nothing in it is
// repeated: the loop in ipmgr does that.
func (e *environment) options() []func(*awsconfig.LoadOptions) error {
	return []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(wire.Client(e.opts.dialService)),
		awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		awsconfig.WithAPIOptions([]func(*middleware.Stack) error{vpc.Agent(agent, e.opts.Version), vpc.Genuine(vpc.MaxAnswer)}),
		awsconfig.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = e }),
		awsconfig.WithEndpointCredentialOptions(e.endpoint),
		awsconfig.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow }),
		awsconfig.WithLogger(sdkLog(e.opts.Logger)),
	}
}

// endpoint sets up the SDK's client of agents that give credentials. A token
// that was written by hand may end in a newline, which the SDK refuses.
func (e *environment) endpoint(o *endpointcreds.Options) {
	o.HTTPClient, o.APIOptions = e, nil // they take it for the call of EC2 that it is part of
	if file := o.AuthorizationTokenProvider; file != nil {
		o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
			token, err := file.GetToken()
			return strings.TrimSpace(token), err
		})
	}
}

// Do asks an agent that gives credentials. In clear that is one on the worker.
func (e *environment) Do(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme == "http" {
		return e.local.Do(request)
	}
	e.mu.Lock()
	remote := e.remote
	e.mu.Unlock()
	return remote.Do(request)
}

// GetMetadata lets the SDK look for the credentials of the worker's role.
func (e *environment) GetMetadata(ctx context.Context, in *imds.GetMetadataInput, _ ...func(*imds.Options)) (*imds.GetMetadataOutput, error) {
	value, err := e.imds.get(ctx, strings.TrimPrefix(in.Path, "/"))
	switch {
	case errors.Is(err, errNotFound):
		return nil, fmt.Errorf("%w: the worker has no instance role", vpc.ErrNoCredentials)
	case errors.Is(err, errDisabled):
		return nil, fmt.Errorf("%w: %w", vpc.ErrNoCredentials, errDisabled)
	case err != nil:
		return nil, err
	}
	return &imds.GetMetadataOutput{Content: io.NopCloser(strings.NewReader(value))}, nil
}

// close closes idle connections.
func (e *environment) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.local.CloseIdleConnections()
	e.remote.CloseIdleConnections()
}

// sdkLog makes lines of ours of what the SDK logs.
func sdkLog(log *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
		log.Debug("the AWS SDK reports", "text", fmt.Sprintf(format, v...))
	})
}

// forEC2 returns the SDK's configuration for EC2. IMDS names the Region where
// the settings do not.
func (e *environment) forEC2(ctx context.Context) (aws.Config, error) {
	e.mu.Lock()
	config := e.config
	e.mu.Unlock()
	if config.Region != "" {
		return config, nil
	}
	region, err := e.imds.get(ctx, "placement/region")
	switch {
	case errors.Is(err, errUnavailable) || errors.Is(err, errNotFound):
		return aws.Config{}, &fault.Error{Code: fault.CodeNoRegion, Meaning: fault.Invalid, Text: errNoRegion.Error(), Advice: "set AWS_REGION", Err: err}
	case err != nil:
		return aws.Config{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.config.Region == "" { // those who give credentials are asked in the Region, too
		err = e.load(ctx, awsconfig.WithRegion(region))
	}
	return e.config, err
}
