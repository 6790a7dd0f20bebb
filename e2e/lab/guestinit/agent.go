package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// serveAgent lets the lab run commands in the worker: POST /run?arg=...&arg=...
// answers with the command's output, and with the trailer Exit how it ended.
func serveAgent(c guest.Config) error {
	if len(c.Interfaces) == 0 {
		return errors.New("no interface for the agent")
	}
	at := netip.AddrPortFrom(c.Interfaces[0].Addresses[0].Addr(), guest.AgentPort)
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /run", runCommand)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return fmt.Errorf("agent: %w", server.Serve(l))
}

func runCommand(w http.ResponseWriter, r *http.Request) {
	args := r.URL.Query()["arg"]
	if len(args) == 0 {
		http.Error(w, "arg is missing", http.StatusBadRequest)
		return
	}
	w.Header().Set("Trailer", "Exit")
	cmd := exec.CommandContext(r.Context(), args[0], args[1:]...) //nolint:gosec // the agent's task
	cmd.Env = os.Environ()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.Body, w, w
	w.WriteHeader(http.StatusOK)
	if err := cmd.Run(); err != nil {
		w.Header().Set("Exit", err.Error())
		return
	}
	w.Header().Set("Exit", "ok")
}
