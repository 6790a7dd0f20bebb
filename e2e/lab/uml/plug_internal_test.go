package uml

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// console plays a kernel's management console: it answers one command with a
// text, as an error or not, and returns the command.
func console(t *testing.T, s Spec, failed bool, text string) <-chan string {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.Dir, s.Name), 0o700); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: s.console()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	got := make(chan string, 1)
	go func() {
		request := make([]byte, 1024)
		n, from, err := conn.ReadFromUnix(request)
		if err != nil || n != consoleHeader+consoleRequest || binary.NativeEndian.Uint32(request) != consoleMagic {
			close(got)
			return
		}
		got <- string(request[consoleHeader : consoleHeader+binary.NativeEndian.Uint32(request[8:])])
		answer := make([]byte, consoleHeader)
		if failed {
			binary.NativeEndian.PutUint32(answer, 1)
		}
		binary.NativeEndian.PutUint32(answer[8:], uint32(len(text)))
		_, _ = conn.WriteToUnix(slices.Concat(answer, []byte(text), []byte{0}), from)
	}()
	return got
}

func TestPlugAsksTheConsole(t *testing.T) {
	for _, test := range []struct {
		name   string
		failed bool
		answer string
		want   string // in the error
	}{
		{"which does it", false, "", ""},
		{"which refuses", true, "Device is already configured", "plug vec1 into w: Device is already configured"},
		{"which says something else", false, "what?", `answers "what?"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Spec{Name: "w", Dir: t.TempDir()}
			got := console(t, s, test.failed, test.answer)
			err := (&Kernel{spec: s}).Plug(t.Context(), 1, Link{Socket: "/run/e1", MAC: "02:00:00:00:01:01", MTU: 9001})
			if want := "config vec1:transport=bess,dst=/run/e1,depth=128,mac=02:00:00:00:01:01,mtu=9001"; <-got != want {
				t.Errorf("the command is not %q", want)
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("Plug: %v, want %q", err, test.want)
			}
		})
	}
}

func TestPlugWithoutAConsoleIsAnError(t *testing.T) {
	k := &Kernel{spec: Spec{Name: "w", Dir: t.TempDir()}}
	if err := k.Plug(t.Context(), 1, Link{}); err == nil {
		t.Error("no error")
	}
	if err := k.Plug(t.Context(), 1, Link{Socket: strings.Repeat("x", consoleRequest)}); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("a command that is too long: %v", err)
	}
}
