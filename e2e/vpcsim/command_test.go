package vpcsim_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

func TestCommandRefusesBadUsage(t *testing.T) {
	const good = "testdata/two-workers.yaml"
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("region: us-west-2\ncolour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no topology", nil, 2, "--topology is required"},
		{"a topology that does not exist", []string{"--topology", "none.yaml"}, 2, "none.yaml: no such file"},
		{"a topology with mistakes lists them", []string{"--topology", bad}, 2, "3 mistakes"},
		{"a flag that does not exist", []string{"--topologie", good}, 2, "flag provided but not defined"},
		{"an argument too many", []string{"--topology", good, "now"}, 2, `unexpected argument "now"`},
		{"an address of metadata without instance", []string{"--topology", good, "--imds", "127.0.0.1:0"}, 2, "want INSTANCE=ADDR"},
		{"metadata of an instance that does not exist", []string{"--topology", good, "--imds", "i-gone=127.0.0.1:0"}, 2, "no such instance"},
		{"metadata of one instance twice", []string{"--topology", good, "--imds", "i-worker1=127.0.0.1:0", "--imds", "i-worker1=127.0.0.1:0"}, 1, "two addresses"},
		{"an empty address", []string{"--topology", good, "--ec2", ""}, 2, "need an address"},
		{"an address that is taken", []string{"--topology", good, "--ec2", taken.Addr().String()}, 1, "address already in use"},
		{"help is not a mistake", []string{"--help"}, 0, "-topology FILE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := vpcsim.Command(t.Context(), tc.args, strings.NewReader(""), &stdout, &stderr); got != tc.code {
				t.Errorf("exit code %d, want %d", got, tc.code)
			}
			if !strings.Contains(stderr.String(), tc.want) || stdout.Len() > 0 {
				t.Errorf("standard error %q wants %q; standard output %q", &stderr, tc.want, &stdout)
			}
		})
	}
}

func TestCommandSaysWhereItServes(t *testing.T) {
	for more, word := range map[string]string{"": "", "--autoscaling=127.0.0.1:0": " autoscaling=U", "--events=http://127.0.0.1:1/": ""} {
		commandSaysWhereItServes(t, more, word)
	}
}

// commandSaysWhereItServes starts the program with one more flag; the ready line
// has one more word then.
func commandSaysWhereItServes(t *testing.T, more, word string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan int)
	go func() {
		args := []string{
			"--topology", "-", "--ec2", "127.0.0.1:0", "--control", "127.0.0.1:0",
			"--imds", "i-worker2=127.0.0.1:0", "--imds", "i-worker1=127.0.0.1:0",
		}
		if more != "" {
			args = append(args, more)
		}
		done <- vpcsim.Command(ctx, args, strings.NewReader(twoWorkersText(t)), in, io.Discard)
	}()
	line := make([]byte, 1024)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	const u = `http://127\.0\.0\.1:[1-9]\d*`
	want := regexp.MustCompile(`^ready ec2=(` + u + `) control=` + u + strings.ReplaceAll(word, "U", u) + ` imds\.i-worker2=` + u + ` imds\.i-worker1=` + u + `$`)
	got := want.FindStringSubmatch(strings.TrimSuffix(string(line[:n]), "\n"))
	if got == nil {
		t.Fatalf("got %q", line[:n])
	}
	if err := assign(one, "10.10.1.80")(t.Context(), client(t, got[1], vpcsim.AccessKeyID, vpcsim.SecretAccessKey, "")); err != nil {
		t.Error(err)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
