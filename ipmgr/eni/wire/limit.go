package wire

import (
	"fmt"
	"io"
	"net/http"
)

// What a service may send. A container has 64 MiB of memory, and who answers
// may be a proxy or an attacker.
const (
	// MaxAnswer bounds the body of a success. The longest that is asked for
	// is a page of ENIs: 300 KB for the 15 of a worker with all their addresses.
	MaxAnswer = 4 << 20
	// MaxRefusal bounds the body of any other answer.
	MaxRefusal = 64 << 10
	// maxHeader bounds the header of an answer.
	maxHeader = 64 << 10
)

// TooLongError is an answer that was cut off.
type TooLongError struct{ Limit int64 }

// Error names the limit.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("the answer is longer than %d bytes", e.Limit)
}

// bounded limits the answers of a transport.
type bounded struct{ next *http.Transport }

// RoundTrip hands out bodies that fail where the limit is.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	limit := int64(MaxRefusal)
	if response.StatusCode == http.StatusOK {
		limit = MaxAnswer
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: limit, limit: limit}
	return response, nil
}

// CloseIdleConnections lets http.Client do what it says.
func (b bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }

type boundedBody struct {
	io.ReadCloser

	left, limit int64
}

// Read fails once more than the limit was there.
func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more shows that there is more
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		return int(b.left), &TooLongError{Limit: b.limit}
	}
	b.left -= int64(n)
	return n, err
}
