package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		target  string
		code    int
		want    string
	}{
		"the addresses of an interface": {addresses, "/?interface=lo", http.StatusOK, "127.0.0.1/8\n"},
		"an interface that is missing":  {addresses, "/?interface=net9", http.StatusNotFound, "no such network interface"},
		"a ping to no address":          {pingFor, "/?to=upf", http.StatusBadRequest, "upf"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.handler(w, httptest.NewRequest(http.MethodGet, c.target, http.NoBody))
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %q, want %d with %q", w.Code, w.Body.String(), c.code, c.want)
			}
		})
	}
}
