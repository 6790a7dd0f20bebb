package webhook

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
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

// Strangers hold what they can get: connections that say nothing, and long
// bodies that do not come. An honest client, by the address that it has too, is
// answered.
func TestHonestReviewsAreAnsweredBesideStrangers(t *testing.T) {
	s := serve(t, &memory{})
	dial := func() net.Conn {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	for range 1000 {
		dial()
	}
	for range 6 { // long bodies that begin
		c := tls.Client(dial(), &tls.Config{RootCAs: s.authority.pool(), ServerName: "127.0.0.1"})
		header := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", PodPath, maxReview)
		if _, err := io.WriteString(c, header); err != nil {
			t.Fatal(err)
		}
	}
	code, body := s.post(t, reviewOf("apps", podOf("net-a")))
	if code != http.StatusOK || !decodeAnswer(t, body).Allowed {
		t.Errorf("%d %s", code, body)
	}
	if open, _ := s.entrance.gate.Open(); open > maxConnections {
		t.Errorf("%d connections are open, want at most %d", open, maxConnections)
	}
	if _, metrics := s.get(t, "/metrics"); strings.Contains(metrics, "\nmultus_ipmgr_webhook_connections_shut_total 0\n") {
		t.Error("the metrics say that no connection was closed")
	}
}

// What is longer than an ordinary review shares one room, of which one address
// has half.
func TestLongReviewsWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := newReviews(newEntrance(), &memory{}, inject.DefaultPolicy(), newMetrics(), discard())[PodPath]
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
			go func() { codes <- post(slow, maxReview) }()
		}
		time.Sleep(roomTimeout + time.Second)
		synctest.Wait()
		if reading := slow.reading.Load(); reading != reviewRoom/2/maxReview {
			t.Errorf("%d of %d long bodies are being read, want %d", reading, count, reviewRoom/2/maxReview)
		}
		for range count - reviewRoom/2/maxReview {
			if code := <-codes; code != http.StatusServiceUnavailable {
				t.Errorf("one that found no room was answered %d", code)
			}
		}
		close(slow.end)
		if code := <-codes; code != http.StatusBadRequest {
			t.Errorf("the one that had room was answered %d", code)
		}
		if long := reviewOf("apps", podOf("net-a")) + strings.Repeat(" ", maxReview/2); post(strings.NewReader(long), int64(len(long))) != http.StatusOK {
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

func TestABodyIsRefusedByItsLengthBeforeItIsRead(t *testing.T) {
	s := serve(t, &memory{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.Address()+PodPath, neverRead{t})
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = maxReview + 1
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue")
	client := s.client(t, 0)
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the client's transport is a %T", client.Transport)
	}
	transport.ExpectContinueTimeout = 1 << 40
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if code, body := read(t, response); code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", code, body)
	}
}

// neverRead is a body whose reading fails a test.
type neverRead struct{ t *testing.T }

func (n neverRead) Read([]byte) (int, error) {
	n.t.Error("the body was asked for")
	return 0, io.EOF
}
