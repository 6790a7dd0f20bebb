package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
)

// doorName is the socket on which a running lab takes orders.
const doorName = "lab.sock"

// door takes orders for a lab.
type door struct {
	server *http.Server
	mu     sync.Mutex
	lab    *testbed.Lab // nil until it is up
}

// openDoor listens on a socket; over is what down does. A socket on which
// nobody listens any more is replaced.
func openDoor(ctx context.Context, path string, over func()) (*door, error) {
	if conn, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
		return nil, errors.Join(errors.New("a lab is running there already: "+filepath.Dir(path)), conn.Close())
	}
	_ = os.Remove(path)
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	d := &door{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", d.status)
	mux.HandleFunc("POST /down", func(http.ResponseWriter, *http.Request) { over() })
	d.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = d.server.Serve(l) }() // ends with ErrServerClosed
	return d, nil
}

func (d *door) show(lab *testbed.Lab) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lab = lab
}

func (d *door) status(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	lab := d.lab
	d.mu.Unlock()
	if lab == nil {
		http.Error(w, "the lab is starting", http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(lab.Status(r.Context())) // the caller may be gone
}

func (d *door) close() error { return d.server.Close() }

// ask sends an order to the lab of a directory.
func ask(ctx context.Context, dir, method, what string) (*http.Response, error) {
	path := filepath.Join(dir, doorName)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://lab"+what, nil)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("no lab runs in %s: %w", dir, err)
	}
	return response, nil
}

// readStatus asks for the status.
func readStatus(ctx context.Context, dir string) (s testbed.Status, err error) {
	response, err := ask(ctx, dir, http.MethodGet, "/status")
	if err != nil {
		return s, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // the status is there without
		return s, fmt.Errorf("%s: %s", response.Status, why)
	}
	return s, json.NewDecoder(response.Body).Decode(&s)
}

func status(ctx context.Context, dir string, out io.Writer) error {
	s, err := readStatus(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "kubeconfig  %s\nec2         %s\ncontrol     %s\n", s.Kubeconfig, s.EC2, s.Control)
	for _, w := range s.Workers {
		fmt.Fprintf(out, "%-11s %-15s %-15s %s\n", w.Name, w.Address, w.Pods, w.State)
	}
	return nil
}

// down ends a lab and waits until it is gone.
func down(ctx context.Context, dir string, out io.Writer) error {
	response, err := ask(ctx, dir, http.MethodPost, "/down")
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, doorName))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Fprintln(out, "the lab has ended")
			return nil
		}
		_ = conn.Close()
		time.Sleep(100 * time.Millisecond)
	}
}

// shell runs a command in a worker.
func shell(ctx context.Context, dir, worker string, args []string) error {
	s, err := readStatus(ctx, dir)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"/bin/sh"}
	}
	for _, w := range s.Workers {
		if w.Name == worker {
			address, err := netip.ParseAddr(w.Address)
			if err != nil {
				return err
			}
			return guest.By(filepath.Join(dir, testbed.ProxyName)).Run(ctx, address, os.Stdin, os.Stdout, args...)
		}
	}
	return fmt.Errorf("there is no worker %s", worker)
}
