package webhook

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

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
		header := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", review.PodPath, review.MaxReview)
		if _, err := io.WriteString(c, header); err != nil {
			t.Fatal(err)
		}
	}
	code, body := s.post(t, reviewOf("apps", podOf("net-a")))
	if code != http.StatusOK || !decodeAnswer(t, body).Allowed {
		t.Errorf("%d %s", code, body)
	}
	if open, _ := s.reviews.Gate().Open(); open > review.MaxConnections {
		t.Errorf("%d connections are open, want at most %d", open, review.MaxConnections)
	}
	if _, metrics := s.get(t, "/metrics"); strings.Contains(metrics, "\nmultus_ipmgr_webhook_connections_shut_total 0\n") {
		t.Error("the metrics say that no connection was closed")
	}
}

func TestABodyIsRefusedByItsLengthBeforeItIsRead(t *testing.T) {
	s := serve(t, &memory{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.Address()+review.PodPath, neverRead{t})
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = review.MaxReview + 1
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
