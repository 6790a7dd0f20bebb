package wire

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Endpoint is what the AWS settings say about where a service is.
type Endpoint struct {
	URL       *string // nil: the service's own in the Region
	FIPS      aws.FIPSEndpointState
	DualStack aws.DualStackEndpointState
}

// EndpointOf reads AWS_ENDPOINT_URL_service, AWS_ENDPOINT_URL,
// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, AWS_USE_FIPS_ENDPOINT and
// AWS_USE_DUALSTACK_ENDPOINT. Service is in capitals, such as EC2.
func EndpointOf(service string, getenv func(string) string) Endpoint {
	var e Endpoint
	if isTrue(getenv("AWS_USE_FIPS_ENDPOINT")) {
		e.FIPS = aws.FIPSEndpointStateEnabled
	}
	if isTrue(getenv("AWS_USE_DUALSTACK_ENDPOINT")) {
		e.DualStack = aws.DualStackEndpointStateEnabled
	}
	if isTrue(getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) {
		return e
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_" + service, "AWS_ENDPOINT_URL"} {
		if url := getenv(name); url != "" {
			e.URL = &url
			return e
		}
	}
	return e
}

// GetUseFIPSEndpoint lets the SDK ask.
func (e Endpoint) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return e.FIPS, e.FIPS != aws.FIPSEndpointStateUnset, nil
}

// GetUseDualStackEndpoint lets the SDK ask.
func (e Endpoint) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	return e.DualStack, e.DualStack != aws.DualStackEndpointStateUnset, nil
}

func isTrue(value string) bool { return strings.EqualFold(value, "true") }
