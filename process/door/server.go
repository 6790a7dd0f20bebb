package door

import (
	"log/slog"
	"net/http"
	"time"
)

// Deadlines and limits of our servers. What they serve is asked for in a few
// kilobytes and answered in milliseconds.
const (
	// headerTimeout bounds the TLS handshake, and then a request's header.
	headerTimeout = 3 * time.Second
	// requestTimeout bounds a request as a whole. The API server waits for ten
	// seconds, of which a decision may take four.
	requestTimeout = 5 * time.Second
	// answerTimeout bounds the answer, from the end of the header on.
	answerTimeout = 10 * time.Second
	// idleTimeout lets the API server keep its connection between pods.
	idleTimeout = 2 * time.Minute
	// maxHeader is the longest header in bytes.
	maxHeader = 8 << 10
	// maxStreams is how many requests one HTTP/2 connection may have. API servers
	// speak HTTP/1.1 to webhooks.
	maxStreams = 8
	// streamBuffer is how many bytes of an HTTP/2 connection are taken in before
	// they are read.
	streamBuffer = 64 << 10
)

// NewServer returns a server whose clients are strangers: all that they can
// hold has an end. Gate.Guard bounds their connections.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerConnection: streamBuffer,
			MaxReceiveBufferPerStream:     streamBuffer,
		},
		// What net/http has to say is about connections that clients broke.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
