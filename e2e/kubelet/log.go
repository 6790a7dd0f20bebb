package kubelet

import (
	"bytes"
	"strings"
	"sync"
)

// Limits of the policy FallbackToLogsOnError, of the Kubernetes API reference.
const (
	messageBytes = 2048
	messageLines = 80
)

// log collects what a container writes. It is safe for concurrent use.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all of it.
func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// tail returns as much of the end as a termination message holds.
func (l *log) tail() string {
	text := strings.TrimSpace(l.String())
	text = text[max(0, len(text)-messageBytes):]
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-messageLines):], "\n")
}
