package review

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// values is a review with n values that are read, in a list that a pod has.
func values(n int) string {
	return reviewOf("apps", `{"spec":{"containers":[`+strings.Repeat("{},", n-1)+`{}]}}`)
}

func TestReviewsOfFewBytesDoNotBecomeManyInMemory(t *testing.T) {
	for _, c := range []struct {
		name, body string
		fails      bool
	}{
		{name: "a pod of a thousand containers", body: values(1000)},
		{name: "a list of a million empty containers", body: values(1_000_000), fails: true},
		{name: "labels without end", body: reviewOf("apps", `{"metadata":{"labels":{"a":"b"`+strings.Repeat(`,"a":"b"`, 100_000)+`}}}`), fails: true},
		{name: "a text of commas", body: reviewOf("apps", `{"metadata":{"annotations":{"a":"`+strings.Repeat(",", 1<<20)+`"}}}`)},
		{name: "a list that nobody reads", body: reviewOf("apps", `{"spec":{"tolerations":[{}`+strings.Repeat(`,{}`, 1_000_000)+`]}}`)},
		{name: "names that nobody reads", body: reviewOf("apps", `{"spec":{"x":{`+names(300_000)+`}}}`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := decodeReview[inject.Pod]([]byte(c.body))
			runtime.ReadMemStats(&after)
			if (err != nil) != c.fails || c.fails && !strings.Contains(err.Error(), "more than 4000 values") {
				t.Errorf("error %v", err)
			}
			const most = 2 << 20 // of which the body's copy below it is one
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(len(c.body))+most {
				t.Errorf("%d bytes became %d", len(c.body), took)
			}
		})
	}
}

func names(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `"%d":0,`, i)
	}
	return text.String() + `"z":0`
}

// What is longer than an ordinary review shares one room, of which one address
// has half.
func TestLongReviewsWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := New(open{}, inject.DefaultPolicy(), discard()).Handlers()[PodPath]
		post := func(body io.Reader, length int64) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, PodPath, body)
			r.ContentLength = length
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w.Code
		}
		const count = 4
		slow := &slowBody{end: make(chan struct{})}
		codes := make(chan int, count)
		for range count {
			go func() { codes <- post(slow, MaxReview) }()
		}
		time.Sleep(roomTimeout + time.Second)
		synctest.Wait()
		if reading := slow.reading.Load(); reading != reviewRoom/2/MaxReview {
			t.Errorf("%d of %d long bodies are being read, want %d", reading, count, reviewRoom/2/MaxReview)
		}
		for range count - reviewRoom/2/MaxReview {
			if code := <-codes; code != http.StatusServiceUnavailable {
				t.Errorf("one that found no room was answered %d", code)
			}
		}
		close(slow.end)
		if code := <-codes; code != http.StatusBadRequest {
			t.Errorf("the one that had room was answered %d", code)
		}
		if long := reviewOf("apps", podOf("net-a")) + strings.Repeat(" ", MaxReview/2); post(strings.NewReader(long), int64(len(long))) != http.StatusOK {
			t.Error("there is no room once the others have been answered")
		}
	})
}

// slowBody is a body that says nothing before its end.
type slowBody struct {
	end     chan struct{}
	reading atomic.Int32 // by how many
}

func (b *slowBody) Read([]byte) (int, error) {
	b.reading.Add(1)
	<-b.end
	return 0, io.EOF
}
