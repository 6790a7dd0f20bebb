package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes the test binary the program itself.
const asProgram = "MULTUS_IPMGR_TEST_WEBHOOK"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func program(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self, args...)
	command.Env = []string{asProgram + "=1", "HOME=" + t.TempDir()}
	var output bytes.Buffer
	command.Stderr = &output
	return command, &output
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		return exit.ExitCode()
	}
	return 0
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stderr []string
	}{
		{"wrong flags, all of them, are exit code 2", []string{"--sidecar-style=x", "--env=IPMGR_TIMEOUT=x"}, 2, []string{"--sidecar-style", "IPMGR_TIMEOUT", "--image is required"}},
		{"an unknown flag is exit code 2", []string{"--imege=x"}, 2, []string{"imege"}},
		{"help is exit code 0", []string{"--help"}, 0, []string{"-image"}},
		{"no cluster is exit code 1", []string{"--image=x"}, 1, []string{"outside a pod give --kubeconfig"}},
		{"a kubeconfig that is not there is exit code 1", []string{"--image=x", "--kubeconfig=/none"}, 1, []string{"--kubeconfig: ", "/none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			command, stderr := program(t, c.args...)
			if code := exitCode(t, command.Run()); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("standard error lacks %q:\n%s", want, stderr)
				}
			}
		})
	}
}

const unreachable = `{"kind": "Config", "apiVersion": "v1", "current-context": "c",
"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
"contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}]}`

// Without an API server and a certificate the program lives, says what it
// lacks, and ends well.
func TestProgramWaitsForWhatIsMissing(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	command, _ := program(t, "--image=x", "--kubeconfig="+kubeconfig, "--address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--cert-dir="+t.TempDir(), "--drain=0s")
	command.Stderr = nil
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	address := awaitAddress(t, stderr)
	go func() { _, _ = io.Copy(io.Discard, stderr) }() // so that it never blocks
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		body := get(t, "http://"+address+"/readyz")
		if strings.Contains(body, "no serving certificate") && strings.Contains(body, "connection refused") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz says %q", body)
		}
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, command.Wait()); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// awaitAddress reads log lines until one names the port for probes.
func awaitAddress(t *testing.T, log io.Reader) string {
	t.Helper()
	var seen []byte
	chunk := make([]byte, 4096)
	for {
		n, err := log.Read(chunk)
		seen = append(seen, chunk[:n]...)
		if m := regexp.MustCompile(`"opsAddress":"([^"]+)"`).FindSubmatch(seen); m != nil {
			return string(m[1])
		}
		if err != nil {
			t.Fatalf("%v after %s", err, seen)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
