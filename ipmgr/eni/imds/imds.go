// Package imds reads the EC2 instance metadata service (IMDS), version 2.
//
// It exists beside the SDK's client because of what happens where pods may not
// reach the service: with a hop limit of 1 the answer to the token request
// never arrives, and the SDK spends five seconds finding out. Here that costs
// Options.Patience, once.
package imds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	endpointIPv4 = "http://169.254.169.254"
	endpointIPv6 = "http://[fd00:ec2::254]" // Nitro instances that opted in

	tokenTTL    = 6 * time.Hour // the longest the service grants
	tokenMargin = time.Minute   // a token is renewed this long before its end
	readTimeout = 2 * time.Second
	// bodyLimit bounds a value, and maxItems the items of a list: an ENI has at
	// most 64 addresses of each family, an instance some 30 ENIs.
	bodyLimit = 64 << 10
	maxItems  = 1024

	headerToken = "X-Aws-Ec2-Metadata-Token"
	headerTTL   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
)

var (
	// ErrNotFound means that the service answers and has no such value.
	ErrNotFound = errors.New("not in the instance metadata")
	// ErrUnavailable means that the service gives out no token: it is off,
	// out of reach (hop limit), or disabled by AWS_EC2_METADATA_DISABLED.
	ErrUnavailable = errors.New("instance metadata service does not answer")
	// ErrDisabled comes with ErrUnavailable and tells that nobody asked.
	ErrDisabled = errors.New("AWS_EC2_METADATA_DISABLED is set")
)

// Options configure a Client.
type Options struct {
	// Endpoint is the service's base URL, without /latest.
	Endpoint string
	// Disabled makes every call fail with ErrUnavailable, as AWS's setting
	// AWS_EC2_METADATA_DISABLED asks for.
	Disabled bool
	// HTTP sends the requests.
	HTTP *http.Client
	// Patience is how long a token request may take.
	Patience time.Duration
	// Reprobe is how long a service that never answered is left alone after a
	// failed token request. Zero asks again each time.
	Reprobe time.Duration
	// Now tells the time.
	Now func() time.Time
}

// FromEnvironment fills Endpoint and Disabled from the AWS settings
// AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE
// (IPv4 or IPv6) and AWS_EC2_METADATA_DISABLED.
func (o Options) FromEnvironment(getenv func(string) string) Options {
	o.Endpoint = endpointIPv4
	if strings.EqualFold(getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "ipv6") {
		o.Endpoint = endpointIPv6
	}
	if endpoint := getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"); endpoint != "" {
		o.Endpoint = endpoint
	}
	o.Disabled = strings.EqualFold(getenv("AWS_EC2_METADATA_DISABLED"), "true")
	return o
}

// Client reads instance metadata. It is safe for concurrent use.
type Client struct {
	opts Options
	turn chan struct{} // holds one item while nobody fetches a token

	// Guarded by turn.
	token    string
	renewAt  time.Time
	answered bool      // a token was granted once
	failure  error     // of the last token request
	retryAt  time.Time // failure stands until then
}

// New returns a Client. It makes no connection.
func New(opts Options) *Client {
	opts.Endpoint = strings.TrimSuffix(opts.Endpoint, "/")
	c := &Client{opts: opts, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// Get reads latest/meta-data/path. The value carries no surrounding white
// space. Errors are ErrNotFound, ErrUnavailable, or of one failed read.
func (c *Client) Get(ctx context.Context, path string) (string, error) {
	token, err := c.currentToken(ctx, "")
	if err != nil {
		return "", err
	}
	value, status, err := c.read(ctx, path, token)
	if status == http.StatusUnauthorized { // the token ended early: the instance was stopped, or its clock jumped
		if token, err = c.currentToken(ctx, token); err != nil {
			return "", err
		}
		value, status, err = c.read(ctx, path, token)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("reading %s from instance metadata: %w", path, err)
	case status == http.StatusNotFound:
		return "", fmt.Errorf("%s: %w", path, ErrNotFound)
	case status != http.StatusOK:
		return "", fmt.Errorf("reading %s from instance metadata: HTTP status %d", path, status)
	}
	return value, nil
}

// List reads a value of one item per line. A directory's items lose their
// trailing slash.
func (c *Client) List(ctx context.Context, path string) ([]string, error) {
	value, err := c.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	return Lines(value), nil
}

// Lines splits a value of one item per line. There are at most maxItems.
func Lines(value string) []string {
	var items []string
	for line := range strings.Lines(value) {
		if item := strings.TrimSuffix(strings.TrimSpace(line), "/"); item != "" && len(items) < maxItems {
			items = append(items, item)
		}
	}
	return items
}

// Answered reports whether the service ever granted a token: what fails then
// fails for a while only.
func (c *Client) Answered() bool {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	return c.answered
}

// currentToken returns a token other than stale, and fetches one when needed.
func (c *Client) currentToken(ctx context.Context, stale string) (string, error) {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()

	now := c.opts.Now()
	if c.token != "" && c.token != stale && now.Before(c.renewAt) {
		return c.token, nil
	}
	if c.failure != nil && !c.answered && now.Before(c.retryAt) {
		return "", c.failure
	}
	token, ttl, err := c.fetchToken(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err() // the caller gave up, which says nothing of the service
		}
		c.failure, c.retryAt = fmt.Errorf("%w: %w", ErrUnavailable, err), now.Add(c.opts.Reprobe)
		return "", c.failure
	}
	c.token, c.renewAt, c.answered, c.failure = token, now.Add(ttl-tokenMargin), true, nil
	return token, nil
}

func (c *Client) fetchToken(ctx context.Context) (string, time.Duration, error) {
	if c.opts.Disabled {
		return "", 0, ErrDisabled
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Patience)
	defer cancel()
	header := http.Header{headerTTL: {strconv.Itoa(int(tokenTTL / time.Second))}}
	token, status, answer, err := c.do(ctx, http.MethodPut, "/latest/api/token", header)
	if err != nil {
		return "", 0, err
	}
	if status != http.StatusOK || token == "" {
		return "", 0, fmt.Errorf("token request: HTTP status %d", status)
	}
	ttl := tokenTTL
	if seconds, err := strconv.Atoi(answer.Get(headerTTL)); err == nil && seconds > 0 {
		ttl = min(ttl, time.Duration(seconds)*time.Second)
	}
	return token, ttl, nil
}

func (c *Client) read(ctx context.Context, path, token string) (string, int, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	value, status, _, err := c.do(ctx, http.MethodGet, "/latest/meta-data/"+path, http.Header{headerToken: {token}})
	return value, status, err
}

func (c *Client) do(ctx context.Context, method, path string, header http.Header) (string, int, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.opts.Endpoint+path, nil)
	if err != nil {
		return "", 0, nil, err
	}
	request.Header = header
	response, err := c.opts.HTTP.Do(request)
	if err != nil {
		return "", 0, nil, plainError(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit+1))
	switch {
	case err != nil:
		return "", 0, nil, err
	case len(body) > bodyLimit:
		return "", 0, nil, fmt.Errorf("the answer is longer than %d bytes", bodyLimit)
	}
	return strings.TrimSpace(string(body)), response.StatusCode, response.Header, nil
}

// plainError drops the method and URL that net/http puts before every error.
func plainError(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
