package wire

import (
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

func isTrue(value string) bool { return strings.EqualFold(value, "true") }
