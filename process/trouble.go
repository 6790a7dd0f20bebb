package process

import "sync/atomic"

// Trouble remembers why something does not work, so that a log says it once and
// not at every attempt.
type Trouble struct{ last atomic.Pointer[string] }

// Changed takes the result of an attempt. It reports whether that is news: an
// error other than the last one, or the first success after an error.
func (t *Trouble) Changed(err error) bool {
	if err == nil {
		return t.last.Swap(nil) != nil
	}
	text := err.Error()
	last := t.last.Swap(&text)
	return last == nil || *last != text
}

// Last is the error of the last attempt, or empty.
func (t *Trouble) Last() string {
	if last := t.last.Load(); last != nil {
		return *last
	}
	return ""
}
