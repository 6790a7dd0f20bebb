package eni

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"

	"github.com/multus-ipmgr/multus-ipmgr/fault"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/credential"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/imds"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

// environment is where the AWS settings come from, and the clients for HTTP.
type environment struct {
	getenv  func(string) string
	dial    DialFunc
	local   *http.Client                // services on the worker
	remote  atomic.Pointer[http.Client] // AWS's APIs; nil before the first call
	imds    *imds.Client
	version string
}

// errNoRegion stands for everything that could name the Region and does not.
var errNoRegion = errors.New("neither AWS_REGION nor the instance metadata names the Region")

// config returns the SDK's configuration for EC2.
func (e *environment) config(ctx context.Context) (aws.Config, error) {
	region, err := e.region(ctx)
	if err != nil {
		return aws.Config{}, err
	}
	remote, err := e.client()
	if err != nil {
		return aws.Config{}, err
	}
	calls := []func(*middleware.Stack) error{vpc.Agent(agent, e.version), vpc.Genuine(vpc.MaxAnswer)}
	credentials, _ := credential.Chain(credential.Options{
		Getenv: e.getenv, HTTP: remote, Local: e.local, IMDS: e.imds, Region: region, APIOptions: calls,
	})
	endpoint := wire.EndpointOf("EC2", e.getenv)
	return aws.Config{
		Region: region, Credentials: credentials, HTTPClient: remote, BaseEndpoint: endpoint.URL,
		ConfigSources: []any{endpoint},
	}, nil
}

// client returns the client for AWS's APIs. It trusts the authorities in
// AWS_CA_BUNDLE alone, or else the system's.
func (e *environment) client() (*http.Client, error) {
	var authorities *x509.CertPool
	if file := e.getenv("AWS_CA_BUNDLE"); file != "" {
		var err error
		if authorities, err = wire.Authorities(file); err != nil {
			return nil, &fault.Error{
				Code: fault.CodeCertificate, Meaning: fault.Invalid, Text: "AWS_CA_BUNDLE: " + err.Error(), Err: err,
				Advice: "let AWS_CA_BUNDLE name a file of certificates in PEM that the container can read",
			}
		}
	}
	e.remote.CompareAndSwap(nil, wire.Client(e.dial, authorities))
	return e.remote.Load(), nil
}

func (e *environment) region(ctx context.Context) (string, error) {
	if region := cmp.Or(e.getenv("AWS_REGION"), e.getenv("AWS_DEFAULT_REGION")); region != "" {
		return region, nil
	}
	region, err := e.imds.Get(ctx, "placement/region")
	if errors.Is(err, imds.ErrUnavailable) || errors.Is(err, imds.ErrNotFound) {
		return "", &fault.Error{Code: fault.CodeNoRegion, Meaning: fault.Invalid, Text: errNoRegion.Error(), Advice: "set AWS_REGION", Err: err}
	}
	return region, err
}
