// Package credential finds AWS credentials where the SDK's default chain finds
// them in a container, in its order: static variables, web identity (IRSA),
// the container endpoint (EKS Pod Identity), the instance role from IMDS.
//
// It is wired by hand because loading the SDK's whole configuration costs 1.3
// ms of CPU and 1.6 MB of program, for shared configuration files, profiles and
// SSO, which an injected container does not have.
package credential

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/imds"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	expiryWindow = time.Minute // credentials are renewed this long before they end
	patience     = 5 * time.Second
)

// Source says where credentials are looked for.
type Source string

// The sources, in the order of the chain.
const (
	Static       Source = "environment"
	WebIdentity  Source = "web identity"
	Container    Source = "container endpoint"
	InstanceRole Source = "instance role"
)

// ErrNone means that nothing in the chain can have credentials.
var ErrNone = vpc.ErrNoCredentials

// Error is a failure to get credentials, as opposed to a refusal of them.
type Error struct {
	Source Source
	Err    error
}

// Error names the source and the cause.
func (e *Error) Error() string { return fmt.Sprintf("credentials from %s: %v", e.Source, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Options are what the sources need.
type Options struct {
	Getenv func(string) string
	// HTTP reaches AWS's APIs, Local the services on the worker.
	HTTP, Local *http.Client
	IMDS        *imds.Client
	// Region is where the security token service is asked.
	Region string
	// APIOptions are added to the calls of the security token service.
	APIOptions []func(*middleware.Stack) error
}

// Chain returns a cached provider for the first source that the environment
// names, and which one it is. Retrieval errors are *Error.
func Chain(o Options) (*aws.CredentialsCache, Source) {
	source, provider := choose(o)
	bounded := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		credentials, err := provider.Retrieve(ctx)
		if err != nil {
			return aws.Credentials{}, &Error{Source: source, Err: err}
		}
		return credentials, nil
	})
	return aws.NewCredentialsCache(bounded, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow }), source
}

func choose(o Options) (Source, aws.CredentialsProvider) {
	switch {
	case first(o.Getenv, "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY") != "":
		return Static, static(o.Getenv)
	case o.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		return WebIdentity, webIdentity(o)
	case o.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || o.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		return Container, container(o)
	}
	return InstanceRole, instanceRole{o.IMDS}
}

func first(getenv func(string) string, names ...string) string {
	for _, name := range names {
		if value := getenv(name); value != "" {
			return value
		}
	}
	return ""
}

func failing(err error) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, err
	})
}
