package main

import (
	"net/netip"
	"os"
	"time"
)

// start says how this process began.
type start struct {
	Pod   string    `json:"pod"`
	Began time.Time `json:"began"`
	// Asked is who was pinged before all else, Answered whether it answered.
	Asked    string `json:"asked,omitempty"`
	Answered bool   `json:"answered"`
	Error    string `json:"error,omitempty"`
}

// beginning asks first, once: what does not answer now was not routed when the
// application began.
func beginning(began time.Time, first netip.Addr) start {
	s := start{Began: began}
	s.Pod, _ = os.Hostname() // empty is as good as an error here
	if !first.IsValid() {
		return s
	}
	s.Asked = first.String()
	if err := ping(netip.Addr{}, first, firstTimeout); err != nil {
		s.Error = err.Error()
		return s
	}
	s.Answered = true
	return s
}
