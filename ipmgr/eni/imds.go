package eni

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sync/errgroup"

	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

const (
	// tokenPatience is what finding out that IMDS does not answer may cost.
	tokenPatience = 500 * time.Millisecond
	readPatience  = 2 * time.Second
	// imdsReprobe is how long IMDS is then left alone. It is asked again
	// because a starved worker can miss the first deadline.
	imdsReprobe = time.Hour
	// maxValue bounds a value, and maxItems the items of a list: an ENI has at
	// most 64 addresses of each family, an instance some 30 ENIs.
	maxValue = 64 << 10
	maxItems = 1024
	// metadataReads is how many values are read at a time: IMDS limits the
	// connections and packets of an instance, which all its pods share.
	metadataReads = 2
)

var (
	// errNotFound means that IMDS answers and has no such value.
	errNotFound = errors.New("not in the instance metadata")
	// errUnavailable means that IMDS gives out no token: it is off, out of reach
	// (hop limit), or disabled by AWS_EC2_METADATA_DISABLED.
	errUnavailable = errors.New("instance metadata service does not answer")
	// errDisabled comes with errUnavailable and means that nobody asked.
	errDisabled = errors.New("AWS_EC2_METADATA_DISABLED is set")
)

// metadataService is the SDK's client of the instance metadata service (IMDS),
// version 2, with deadlines of its own and a memory: where pods may not reach
// the service, with a hop limit of 1, the answer to the request for a token
// never arrives. That costs tokenPatience once for all who ask: discovery, the
// Region, and the chain of credentials.
type metadataService struct {
	client         *imds.Client
	tokens, values *http.Client
	disabled       bool
	reprobe        time.Duration // zero asks a service that never answered each time
	now            func() time.Time

	mu       sync.Mutex
	answered bool      // a token was granted once
	failure  error     // of the last request for a token
	until    time.Time // failure stands until then
}

// newMetadataService makes no connection. Settings are those of config.
func newMetadataService(config aws.Config, local *http.Client, reprobe time.Duration, now func() time.Time) *metadataService {
	tokens, values := *local, *local
	tokens.Timeout, values.Timeout = tokenPatience, readPatience
	s := &metadataService{tokens: &tokens, values: &values, reprobe: reprobe, now: now}
	s.client = imds.NewFromConfig(config, func(o *imds.Options) {
		s.disabled = o.ClientEnableState == imds.ClientDisabled
		o.HTTPClient = s
		o.Retryer = onceMore()
		o.DisableDefaultMaxBackoff = true
		o.EnableFallback = aws.FalseTernary // version 1 answers those who can make a program ask
	})
	return s
}

// onceMore repeats, at once, what was refused because the token had ended.
func onceMore() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 2
		o.RateLimiter = ratelimit.None
		o.Retryables = []retry.IsErrorRetryable{retry.RetryableError{}}
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

// Do sends a request of the SDK's client.
func (s *metadataService) Do(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPut {
		return s.token(request)
	}
	response, err := s.values.Do(request)
	if err != nil {
		return nil, err
	}
	response.Body = vpc.Limit(response.Body, maxValue)
	return response, nil
}

// token asks for a token, unless the service is known not to answer.
func (s *metadataService) token(request *http.Request) (*http.Response, error) {
	s.mu.Lock()
	failure := s.failure
	if s.answered || !s.now().Before(s.until) {
		failure = nil
	}
	s.mu.Unlock()
	if failure != nil {
		return nil, failure
	}
	response, err := granted(s.tokens.Do(request))
	if err != nil && request.Context().Err() != nil {
		return nil, err // the caller gave up, which says nothing of the service
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = s.answered || err == nil
	s.failure, s.until = err, s.now().Add(s.reprobe)
	return response, err
}

// granted reads the whole answer to a request for a token, which must hold one.
func granted(response *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, plainError(err)
	}
	body, err := io.ReadAll(vpc.Limit(response.Body, maxValue))
	_ = response.Body.Close()
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK || len(body) == 0:
		return nil, fmt.Errorf("token request: HTTP status %d", response.StatusCode)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// get reads latest/meta-data/path. The value carries no surrounding white
// space. Errors are errNotFound, errUnavailable, or of one failed read.
func (s *metadataService) get(ctx context.Context, path string) (string, error) {
	out, err := s.client.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	if err != nil {
		return "", s.explain(ctx, path, err)
	}
	value, err := io.ReadAll(out.Content) // the SDK has read it already
	return strings.TrimSpace(string(value)), err
}

// all reads paths; those that IMDS does not have are empty.
func (s *metadataService) all(ctx context.Context, paths []string) (map[string]string, error) {
	read := make([]string, len(paths))
	readOne := func(ctx context.Context, i int) error {
		value, err := s.get(ctx, paths[i])
		if err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		read[i] = value
		return nil
	}
	if len(paths) > 0 { // the first gets the token for all
		if err := readOne(ctx, 0); err != nil {
			return nil, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(metadataReads)
	for i := 1; i < len(paths); i++ {
		group.Go(func() error { return readOne(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	values := make(map[string]string, len(paths))
	for i, path := range paths {
		values[path] = read[i]
	}
	return values, nil
}

// explain says which of our errors one of the SDK's is. It hides what a
// request for a token failed of.
func (s *metadataService) explain(ctx context.Context, path string, err error) error {
	s.mu.Lock()
	failure := s.failure
	s.mu.Unlock()
	var answer *smithyhttp.ResponseError
	switch {
	case s.disabled:
		return fmt.Errorf("%w: %w", errUnavailable, errDisabled)
	case ctx.Err() != nil:
		return ctx.Err()
	case failure != nil:
		return fmt.Errorf("%w: %w", errUnavailable, failure)
	case errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound:
		return fmt.Errorf("%s: %w", path, errNotFound)
	case answer != nil:
		return fmt.Errorf("reading %s from instance metadata: HTTP status %d", path, answer.HTTPStatusCode())
	}
	return fmt.Errorf("reading %s from instance metadata: %w", path, plainError(err))
}

// plainError drops the SDK's layers, and the method and URL that net/http puts
// before every error.
func plainError(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// hasAnswered reports whether the service ever granted a token: what fails then
// fails for a while only.
func (s *metadataService) hasAnswered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// list reads a value of one item per line.
func (s *metadataService) list(ctx context.Context, path string) ([]string, error) {
	value, err := s.get(ctx, path)
	if err != nil {
		return nil, err
	}
	return lines(value), nil
}

// lines splits a value of one item per line. There are at most maxItems. A
// directory's items lose their trailing slash.
func lines(value string) []string {
	var items []string
	for line := range strings.Lines(value) {
		if item := strings.TrimSuffix(strings.TrimSpace(line), "/"); item != "" && len(items) < maxItems {
			items = append(items, item)
		}
	}
	return items
}
