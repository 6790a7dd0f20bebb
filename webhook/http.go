package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"sync"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// PodPath is where reviews of pods are answered.
const PodPath = "/mutate-pods"

// maxReview is the longest review there can be: the API server takes objects
// of up to 3 MiB, and a review holds an old and a new one and what surrounds
// them.
const maxReview = 7 << 20

// keepBuffer is the largest buffer that is kept for the next request. Reviews
// of ordinary pods are a few kilobytes.
const keepBuffer = 64 << 10

// reviewHandler is the HTTP side of one admission handler.
type reviewHandler[T any] struct {
	handle  func(context.Context, *request[T]) response
	metrics *metrics
	log     *slog.Logger
	buffers sync.Pool // of *bytes.Buffer
}

// newPodHandler answers reviews of pods over HTTP.
func newPodHandler(h *podHandler) http.Handler {
	return &reviewHandler[inject.Pod]{handle: h.handle, metrics: h.metrics, log: h.log}
}

// ServeHTTP answers one review. What is no review is answered in plain text
// with a status of 400 and above.
func (h *reviewHandler[T]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buffer, _ := h.buffers.Get().(*bytes.Buffer)
	if buffer == nil {
		buffer = new(bytes.Buffer)
	}
	defer func() {
		if buffer.Cap() <= keepBuffer {
			buffer.Reset()
			h.buffers.Put(buffer)
		}
	}()
	req, code, err := readReview[T](w, r, buffer)
	if err != nil {
		h.metrics.failed(failReview)
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "request refused", slog.Int(keyStatus, code), slog.Any(keyError, err))
		http.Error(w, err.Error(), code)
		return
	}
	body, err := encodeReview(h.handle(r.Context(), req))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "answer not delivered", slog.String(keyUID, req.UID), slog.Any(keyError, err))
	}
}

// readReview reads the request's body and decodes it. With an error comes the
// HTTP status that tells of it.
func readReview[T any](w http.ResponseWriter, r *http.Request, buffer *bytes.Buffer) (*request[T], int, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, http.StatusMethodNotAllowed, fmt.Errorf("method %s; want POST of an AdmissionReview", r.Method)
	}
	given := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "application/json" {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content type %q; want application/json", given)
	}
	buffer.Grow(int(min(max(r.ContentLength, 0), keepBuffer/2)))
	_, err := io.Copy(buffer, http.MaxBytesReader(w, r.Body, maxReview))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the body is longer than %d bytes, which no AdmissionReview is", long.Limit)
	case err != nil:
		return nil, http.StatusBadRequest, fmt.Errorf("reading the body: %w", err)
	}
	req, err := decodeReview[T](buffer.Bytes())
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	return req, http.StatusOK, nil
}
