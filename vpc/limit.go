package vpc

import (
	"fmt"
	"io"
)

// What a service may send where nobody says otherwise. A container of ipmgr has
// 64 MiB of memory, and who answers may be a proxy or an attacker.
const (
	// MaxAnswer bounds the body of a success. The longest that ipmgr asks for
	// is a page of ENIs: 300 KB for the 15 of a worker with all their addresses.
	MaxAnswer = 4 << 20
	// MaxRefusal bounds the body of any other answer.
	MaxRefusal = 64 << 10
)

// TooLongError is an answer that was cut off.
type TooLongError struct{ Limit int64 }

// Error names the limit.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("the answer is longer than %d bytes", e.Limit)
}

// Limit returns a body that fails with a *TooLongError where the limit is.
func Limit(body io.ReadCloser, limit int64) io.ReadCloser {
	return &boundedBody{ReadCloser: body, left: limit, limit: limit}
}

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
