package vpc

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Service makes calls of one of AWS's services as a Client does of EC2: by the
// same configuration and credentials, with the same bounds, and with the same
// reading of failures.
type Service[API any] struct {
	client *Client
	dial   func(aws.Config) *API

	mu  sync.Mutex
	api *API // nil until the first call
}

// NewService returns the service whose client for the SDK dial makes, such as
// autoscaling.NewFromConfig does. It makes no connection.
func NewService[API any](c *Client, dial func(aws.Config) *API) *Service[API] {
	return &Service[API]{client: c, dial: dial}
}

// connect returns the SDK's client, which the first call makes.
func (s *Service[API]) connect(ctx context.Context) (*API, error) {
	config, err := s.client.configuration(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.api == nil {
		s.api = s.dial(config)
	}
	return s.api, nil
}

// Ask makes one call of a service. Its error is a *fault.Error.
func Ask[API, APIOptions, In, Out any](ctx context.Context, s *Service[API], action string, in *In, method func(*API, context.Context, *In, ...func(*APIOptions)) (*Out, error)) (*Out, error) {
	c := s.client
	connecting, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	api, err := s.connect(connecting)
	if err != nil {
		f := c.read(ctx, action, err)
		c.observe(action, f, 0)
		return nil, f
	}
	out, err := method(api, ctx, in)
	if err != nil {
		return nil, c.read(ctx, action, err)
	}
	return out, nil
}
