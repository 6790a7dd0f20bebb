//go:build lab

// Package scenario_test plays the project's stories in the lab. It takes
// minutes and needs Debian's packages user-mode-linux and runc:
//
//	go test -C e2e/lab -tags lab -v ./scenario
package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/testbed"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/uml"
)

// bed is the lab that all scenarios share: it takes 30 s to start. Scenarios that
// change nothing for others run in parallel, after those that do.
var bed *testbed.Lab

func TestMain(m *testing.M) {
	uml.Main()
	os.Exit(play(m))
}

func play(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if bed, err = testbed.Start(ctx, testbed.Options{Dir: os.Getenv("LAB_DIR"), NodeGroup: true, Progress: os.Stderr}); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	defer context.AfterFunc(ctx, func() { // of Ctrl-C nothing is left
		_ = bed.Stop(context.WithoutCancel(ctx))
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	})()
	code := 1
	if err := errors.Join(limitHops(ctx, "i-worker1", hopLimit("i-worker1")), limitHops(ctx, "i-worker2", hopLimit("i-worker2"))); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
	} else {
		code = m.Run()
	}
	if code != 0 {
		if err := bed.SaveLogs(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "lab:", err)
		}
	}
	if err := bed.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	return code
}

// act asks the podbox at a pod's first address, from outside of the workers.
func act(t *testing.T, pod netip.Addr, path string, query url.Values) (int, string) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return bed.Network().Dial(ctx, netip.AddrPortFrom(pod, 8080))
		},
	}}
	response, err := client.Get("http://" + pod.String() + path + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text))
}

// ping reports whether a pod reaches an address.
func ping(t *testing.T, pod, to netip.Addr) bool {
	t.Helper()
	code, text := act(t, pod, "/ping", url.Values{"to": {to.String()}})
	switch code {
	case http.StatusNoContent:
		return true
	case http.StatusGatewayTimeout:
		return false
	}
	t.Fatalf("ping: %d %s", code, text)
	return false
}

// addresses lists the addresses of an interface, as the pod sees them.
func addresses(t *testing.T, pod netip.Addr, name string) (list []netip.Addr) {
	t.Helper()
	code, text := act(t, pod, "/addresses", url.Values{"interface": {name}})
	if code != http.StatusOK {
		t.Fatalf("addresses of %s: %s", name, text)
	}
	for line := range strings.Lines(text) {
		list = append(list, netip.MustParsePrefix(strings.TrimSpace(line)).Addr())
	}
	return list
}

// manifest reads a file below testdata.
func manifest(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
