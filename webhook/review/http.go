package review

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
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/multus-ipmgr/multus-ipmgr/process/door"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// PodPath is where reviews of pods are answered.
const PodPath = "/mutate-pods"

// Bounds of what the reviews that are under way hold. Whatever reaches the port
// may send one.
const (
	// MaxReview is the longest review. The API server takes requests of up to
	// 3 MiB, and etcd stores 1.5 MiB: a review of an update holds one of each,
	// and what surrounds them.
	MaxReview = 5 << 20
	// ordinaryReview is what each connection may hold without waiting. Reviews of
	// ordinary pods are a few kilobytes.
	ordinaryReview = 16 << 10
	// reviewRoom is for all longer ones together.
	reviewRoom = 16 << 20
	// roomTimeout is how long one may wait for room.
	roomTimeout = 3 * time.Second
	// MaxConnections is how many connections the port has room for. An API server
	// opens one for each review that it waits for.
	MaxConnections = 256
)

// entrance is what the reviews of all paths pass.
type entrance struct {
	gate   *door.Gate
	bodies *door.Bodies
}

func newEntrance() entrance {
	return entrance{gate: door.NewGate(MaxConnections), bodies: door.NewBodies(ordinaryReview, reviewRoom)}
}

// reviewHandler is the HTTP side of one admission handler.
type reviewHandler[T any] struct {
	entrance
	handle  func(context.Context, *request[T]) *admissionv1.AdmissionResponse
	metrics *metrics
	log     *slog.Logger
	buffers sync.Pool // of *bytes.Buffer
}

// newPodHandler answers reviews of pods over HTTP.
func newPodHandler(e entrance, h *podHandler) http.Handler {
	return &reviewHandler[inject.Pod]{entrance: e, handle: h.handle, metrics: h.metrics, log: h.log}
}

// ServeHTTP answers one review. What is not a review is answered in plain text
// with a status of 400 and above.
func (h *reviewHandler[T]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	uid, body, code, err := h.review(w, r)
	if err != nil {
		h.metrics.failed(failReview)
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "request refused", slog.Int(keyStatus, code), slog.Any(keyError, err))
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "answer not delivered", slog.String(keyUID, string(uid)), slog.Any(keyError, err))
	}
}

// review reads a review when there is room for it, and returns the answer. With
// an error comes the HTTP status that says it.
func (h *reviewHandler[T]) review(w http.ResponseWriter, r *http.Request) (uid types.UID, answer []byte, code int, err error) {
	if code, err = refusable(w, r); err != nil {
		return "", nil, code, err
	}
	length := r.ContentLength
	if length < 0 {
		length = MaxReview // it does not say
	}
	ctx, cancel := context.WithTimeout(r.Context(), roomTimeout)
	defer cancel()
	release, err := h.bodies.Acquire(ctx, length)
	if err != nil {
		return "", nil, http.StatusServiceUnavailable, errors.New("too many long reviews at a time; try again")
	}
	defer release()
	buffer, keep := h.buffer()
	defer keep()
	if code, err = take(w, r, buffer); err != nil {
		return "", nil, code, err
	}
	defer h.gate.Answering(r.Context())()
	req, err := decodeReview[T](buffer.Bytes())
	if err != nil {
		return "", nil, http.StatusBadRequest, err
	}
	answer, err = encodeReview(h.handle(r.Context(), req))
	return req.UID, answer, http.StatusInternalServerError, err
}

// buffer returns an empty buffer, and what keeps it for the next request.
func (h *reviewHandler[T]) buffer() (buffer *bytes.Buffer, keep func()) {
	buffer, _ = h.buffers.Get().(*bytes.Buffer)
	if buffer == nil {
		buffer = new(bytes.Buffer)
	}
	return buffer, func() {
		if buffer.Cap() <= 2*ordinaryReview {
			buffer.Reset()
			h.buffers.Put(buffer)
		}
	}
}

// refusable finds what is wrong with a request before its body is read.
func refusable(w http.ResponseWriter, r *http.Request) (int, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed, fmt.Errorf("method %s; want POST of an AdmissionReview", r.Method)
	}
	given := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType, fmt.Errorf("content type %q; want application/json", given)
	}
	if r.ContentLength > MaxReview {
		return http.StatusRequestEntityTooLarge, errTooLong(MaxReview)
	}
	return http.StatusOK, nil
}

func errTooLong(limit int64) error {
	return fmt.Errorf("the body is longer than %d bytes, which no AdmissionReview is", limit)
}

// take reads the body.
func take(w http.ResponseWriter, r *http.Request, buffer *bytes.Buffer) (int, error) {
	buffer.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead) // at once, as growing would double it
	_, err := io.Copy(buffer, http.MaxBytesReader(w, r.Body, MaxReview))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return http.StatusRequestEntityTooLarge, errTooLong(long.Limit)
	case err != nil:
		return http.StatusBadRequest, fmt.Errorf("reading the body: %w", err)
	}
	return http.StatusOK, nil
}
