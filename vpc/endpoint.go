package vpc

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
)

// checkEndpoints refuses URLs of services that no call can be made to.
func checkEndpoints(ctx context.Context, config aws.Config) error {
	endpoints := map[string]string{"all services": aws.ToString(config.BaseEndpoint)}
	ignored, _, err := awsconfig.GetIgnoreConfiguredEndpoints(ctx, config.ConfigSources)
	if err != nil {
		return misconfigured(err)
	}
	for _, source := range config.ConfigSources {
		if s, ok := source.(interface {
			GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
		}); ok && !ignored {
			endpoints["EC2"], _, _ = s.GetServiceBaseEndpoint(ctx, "EC2")
			endpoints["STS"], _, _ = s.GetServiceBaseEndpoint(ctx, "STS")
		}
		if s, ok := source.(interface {
			GetEC2IMDSEndpoint() (string, bool, error)
		}); ok {
			endpoints["instance metadata"], _, _ = s.GetEC2IMDSEndpoint()
		}
		if err := checkURLs(endpoints); err != nil {
			return err
		}
	}
	return nil
}

func checkURLs(endpoints map[string]string) error {
	var wrong []string
	for _, service := range slices.Sorted(maps.Keys(endpoints)) {
		parsed, err := url.Parse(endpoints[service])
		if endpoints[service] != "" && (err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "") {
			wrong = append(wrong, fmt.Sprintf("the endpoint of %s, %q, is not a URL of http or https", service, endpoints[service]))
		}
	}
	if len(wrong) > 0 {
		return invalid(strings.Join(wrong, "; "), nil)
	}
	return nil
}

// checkContainerEndpoint refuses what could not be called. It leaves the SDK no
// name to look up but localhost: that question would leave by the pod's default
// route, and has no deadline.
func checkContainerEndpoint(endpoint string) error {
	const setting = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	if err := checkURLs(map[string]string{setting: endpoint}); err != nil {
		return err
	}
	if parsed, err := url.Parse(endpoint); err == nil && parsed.Scheme == "http" && parsed.Hostname() != "localhost" {
		if _, err := netip.ParseAddr(parsed.Hostname()); err != nil {
			return invalid(fmt.Sprintf("%s=%q: plain HTTP is for loopback and the ECS and EKS agents only", setting, endpoint), err)
		}
	}
	return nil
}
