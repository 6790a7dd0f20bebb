package webhook

import (
	"net/http"
	"strings"
	"testing"
)

func TestDrainingReplicaGivesUpConnectionsWithItsAnswers(t *testing.T) {
	s := serve(t, &memory{})
	client := s.client(t, 0)
	ask := func() *http.Response {
		response, err := client.Post("https://"+s.Address()+PodPath, "application/json", strings.NewReader(reviewOf("apps", podOf("net-a"))))
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
