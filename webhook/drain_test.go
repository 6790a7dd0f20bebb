package webhook

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

func TestDrainingReplicaGivesUpConnectionsWithItsAnswers(t *testing.T) {
	s := serve(t, &memory{})
	// As the API server: by HTTP/1.1, so that connections spread over replicas.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.authority.pool()}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ask := func() *http.Response {
		response, err := client.Post("https://"+s.Address()+review.PodPath, "application/json", strings.NewReader(reviewOf("apps", podOf("net-a"))))
		if err != nil {
			t.Fatal(err)
		}
		if code, body := read(t, response); code != http.StatusOK {
			t.Errorf("answer %d: %s", code, body)
		}
		return response
	}
	if ask().Close {
		t.Error("a replica that stays gives up its connection")
	}
	s.stopping.Store(true)
	if !ask().Close {
		t.Error("a replica that drains keeps its connection")
	}
}
