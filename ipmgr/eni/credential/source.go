package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/imds"
	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/eni/wire"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	answerLimit  = 64 << 10
	roleListPath = "iam/security-credentials/"
	ecsEndpoint  = "http://169.254.170.2"
)

// Status is the answer of a credentials endpoint that is no success.
type Status struct {
	Code    int
	Message string
}

// Error gives the HTTP status and what the endpoint says.
func (s *Status) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("HTTP status %d: %s", s.Code, s.Message), ": ")
}

func static(getenv func(string) string) aws.CredentialsProvider {
	secret := first(getenv, "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
	if secret == "" {
		return failing(fmt.Errorf("%w: AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not", ErrNone))
	}
	return credentials.NewStaticCredentialsProvider(first(getenv, "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"), secret, getenv("AWS_SESSION_TOKEN"))
}

func webIdentity(o Options) aws.CredentialsProvider {
	role := o.Getenv("AWS_ROLE_ARN")
	if role == "" {
		return failing(fmt.Errorf("%w: AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not", ErrNone))
	}
	endpoint := wire.EndpointOf("STS", o.Getenv)
	client := sts.New(sts.Options{
		Region:       o.Region,
		HTTPClient:   o.HTTP,
		Retryer:      aws.NopRetryer{},
		BaseEndpoint: endpoint.URL,
		APIOptions:   o.APIOptions,
		EndpointOptions: sts.EndpointResolverOptions{
			UseFIPSEndpoint:      endpoint.FIPS,
			UseDualStackEndpoint: endpoint.DualStack,
		},
	})
	token := stscreds.IdentityTokenFile(o.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"))
	return stscreds.NewWebIdentityRoleProvider(complete{client}, role, token, func(w *stscreds.WebIdentityRoleOptions) {
		w.RoleSessionName = o.Getenv("AWS_ROLE_SESSION_NAME")
	})
}

// complete fails an answer that holds no keys, which would be signed with.
type complete struct {
	stscreds.AssumeRoleWithWebIdentityAPIClient
}

// AssumeRoleWithWebIdentity asks the service.
func (c complete) AssumeRoleWithWebIdentity(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput, options ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	out, err := c.AssumeRoleWithWebIdentityAPIClient.AssumeRoleWithWebIdentity(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	if got := out.Credentials; got == nil || aws.ToString(got.AccessKeyId) == "" || aws.ToString(got.SecretAccessKey) == "" {
		return nil, fmt.Errorf("%w: it holds no credentials", vpc.ErrNotAWS)
	}
	return out, nil
}

// containerEndpoint is ECS's and EKS's credentials endpoint.
type containerEndpoint struct {
	url    string
	getenv func(string) string
	client *http.Client
}

func container(o Options) aws.CredentialsProvider {
	endpoint := containerEndpoint{getenv: o.Getenv, client: o.Local}
	if path := o.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		endpoint.url = ecsEndpoint + path
		return endpoint
	}
	endpoint.url = o.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	parsed, err := url.Parse(endpoint.url)
	switch {
	case err != nil:
		return failing(fmt.Errorf("AWS_CONTAINER_CREDENTIALS_FULL_URI: %w", err))
	case parsed.Scheme == "https":
		endpoint.client = o.HTTP
	case parsed.Scheme != "http" || !mayBePlain(parsed.Hostname()):
		return failing(fmt.Errorf("AWS_CONTAINER_CREDENTIALS_FULL_URI=%q: plain HTTP is for loopback and the ECS and EKS agents only", endpoint.url))
	}
	return endpoint
}

// mayBePlain keeps to the SDK's list of hosts that may send credentials in
// clear, because they are on the worker.
func mayBePlain(host string) bool {
	agents := []netip.Addr{
		netip.AddrFrom4([4]byte{169, 254, 170, 2}),  // ECS
		netip.AddrFrom4([4]byte{169, 254, 170, 23}), // EKS
		netip.MustParseAddr("fd00:ec2::23"),         // EKS, IPv6
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (addr.IsLoopback() || slices.Contains(agents, addr))
}

// Retrieve asks the endpoint. The authorization token is read anew each time,
// because the kubelet replaces the file.
func (c containerEndpoint) Retrieve(ctx context.Context) (aws.Credentials, error) {
	authorization := c.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := c.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		token, err := os.ReadFile(file)
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %w", err)
		}
		authorization = strings.TrimSpace(string(token))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return aws.Credentials{}, err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return aws.Credentials{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	switch {
	case err != nil:
		return aws.Credentials{}, err
	case len(body) > answerLimit:
		return aws.Credentials{}, fmt.Errorf("the answer is longer than %d bytes", answerLimit)
	}
	if response.StatusCode != http.StatusOK {
		return aws.Credentials{}, &Status{Code: response.StatusCode, Message: strings.TrimSpace(string(body))}
	}
	return decode(body, Container)
}

// instanceRole is the role of the worker itself.
type instanceRole struct{ client *imds.Client }

// Retrieve reads the role's name and then its credentials.
func (r instanceRole) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if r.client == nil {
		return aws.Credentials{}, ErrNone
	}
	roles, err := r.client.List(ctx, roleListPath)
	if errors.Is(err, imds.ErrNotFound) || err == nil && len(roles) == 0 {
		return aws.Credentials{}, fmt.Errorf("%w: the worker has no instance role", ErrNone)
	}
	if errors.Is(err, imds.ErrDisabled) {
		return aws.Credentials{}, fmt.Errorf("%w: %w", ErrNone, imds.ErrDisabled)
	}
	if err != nil {
		return aws.Credentials{}, err
	}
	answer, err := r.client.Get(ctx, roleListPath+roles[0])
	if err != nil {
		return aws.Credentials{}, err
	}
	return decode([]byte(answer), InstanceRole)
}

// decode reads the form that IMDS and the container endpoints share.
func decode(body []byte, source Source) (aws.Credentials, error) {
	var answer struct {
		Code, Message, AccessKeyID, SecretAccessKey, Token, AccountID string

		Expiration *time.Time
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return aws.Credentials{}, fmt.Errorf("unreadable answer: %w", err)
	}
	if answer.AccessKeyID == "" || answer.SecretAccessKey == "" {
		return aws.Credentials{}, fmt.Errorf("answer without a key: %s %s", answer.Code, answer.Message)
	}
	got := aws.Credentials{
		AccessKeyID:     answer.AccessKeyID,
		SecretAccessKey: answer.SecretAccessKey,
		SessionToken:    answer.Token,
		AccountID:       answer.AccountID,
		Source:          string(source),
	}
	if answer.Expiration != nil {
		got.CanExpire, got.Expires = true, *answer.Expiration
	}
	return got, nil
}

// IsUnreachable reports whether err is of a connection that was not made or
// gave no answer, as opposed to an answer that is a refusal.
func IsUnreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, imds.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}
