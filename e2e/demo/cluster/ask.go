package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
)

// ask sends a review to the webhook's handler and returns the answer's body.
func (c *Cluster) ask(ctx context.Context, path string, review []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(review))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	a := &answer{header: http.Header{}, status: http.StatusOK}
	c.webhook.ServeHTTP(a, request)
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("the webhook answered %d: %s", a.status, a.body.String())
	}
	return a.body.Bytes(), nil
}

// answer is an http.ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(text []byte) (int, error) { return a.body.Write(text) }
