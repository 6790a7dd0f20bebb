package wire_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open listens in a fresh directory and passes on what arrives.
func open(t *testing.T) (port *wire.Port, path string, arrived chan string) {
	t.Helper()
	path, arrived = filepath.Join(t.TempDir(), "eni.sock"), make(chan string, 16)
	port, err := wire.Listen(path, func(frame []byte) { arrived <- string(frame) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := port.Close(); err != nil {
			t.Error(err)
		}
	})
	return port, path, arrived
}

// dial connects as a worker does.
func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t *testing.T, conn *net.UnixConn, frames ...string) {
	t.Helper()
	for _, f := range frames {
		if _, err := conn.Write([]byte(f)); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns one message of the port.
func read(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buffer := make([]byte, 1<<16)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// eventually waits for a condition that another goroutine makes true.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after 30 s: %s", what)
		}
	}
}

func TestEachMessageIsOneFrameInBothDirections(t *testing.T) {
	port, path, arrived := open(t)
	worker := dial(t, path)
	long := strings.Repeat("x", 9015)
	send(t, worker, "a", "bc", long)
	if diff := cmp.Diff([]string{"a", "bc", long}, []string{<-arrived, <-arrived, <-arrived}); diff != "" {
		t.Errorf("frames from the worker (-want +got):\n%s", diff)
	}
	for _, f := range []string{"d", long, "ef"} {
		if err := port.Send([]byte(f)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"d", long, "ef"}, []string{read(t, worker), read(t, worker), read(t, worker)}); diff != "" {
		t.Errorf("frames to the worker (-want +got):\n%s", diff)
	}
}

func TestAFrameWithoutWorkerIsLost(t *testing.T) {
	port, path, arrived := open(t)
	if err := port.Send([]byte("early")); !errors.Is(err, wire.ErrUnplugged) {
		t.Errorf("sending before a worker connected: %v, want %v", err, wire.ErrUnplugged)
	}
	worker := dial(t, path)
	send(t, worker, "hello")
	<-arrived
	if !port.Connected() {
		t.Error("a worker is connected and the port denies it")
	}
	worker.Close()
	eventually(t, "the port saw the worker leave", func() bool { return !port.Connected() })
	if err := port.Send([]byte("late")); !errors.Is(err, wire.ErrUnplugged) {
		t.Errorf("sending after the worker left: %v, want %v", err, wire.ErrUnplugged)
	}
}

func TestAWorkerThatConnectsAgainTakesOver(t *testing.T) {
	port, path, arrived := open(t)
	for _, name := range []string{"first", "second", "third"} { // none closes its end before
		worker := dial(t, path)
		send(t, worker, name)
		if got := <-arrived; got != name {
			t.Errorf("received %q, want %q", got, name)
		}
		if err := port.Send([]byte("to " + name)); err != nil {
			t.Errorf("sending to the %s connection: %v", name, err)
		}
		if got := read(t, worker); got != "to "+name {
			t.Errorf("the %s connection received %q", name, got)
		}
	}
}

func TestAWorkerThatDoesNotReadLosesFramesAndBlocksNobody(t *testing.T) {
	port, path, arrived := open(t)
	worker := dial(t, path)
	send(t, worker, "hello")
	<-arrived
	frame, sent := make([]byte, 1500), 0
	for ; sent < 100_000; sent++ {
		if err := port.Send(frame); err != nil {
			if !errors.Is(err, wire.ErrFull) {
				t.Fatalf("sending to a worker that does not read: %v, want %v", err, wire.ErrFull)
			}
			break
		}
	}
	if sent == 100_000 {
		t.Error("a port took 100,000 frames for a worker that reads none")
	}
	for range sent / 2 {
		read(t, worker)
	}
	eventually(t, "the port takes frames again", func() bool { return port.Send(frame) == nil })
}

func TestListenReplacesOnlyASocketThatNobodyServes(t *testing.T) {
	_, path, _ := open(t)
	if _, err := wire.Listen(path, nil); err == nil || !strings.Contains(err.Error(), "another process listens on "+path) {
		t.Errorf("listening where a port is open: %v", err)
	}

	dead := filepath.Join(t.TempDir(), "dead.sock")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: dead, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as a process that was killed
	l.Close()
	port, err := wire.Listen(dead, func([]byte) {})
	if err != nil {
		t.Fatalf("listening where a dead process left a socket: %v", err)
	}
	if err := port.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a closed port leaves its socket behind: %v", err)
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.Listen(file, nil); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("listening on a file: %v", err)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "precious" {
		t.Errorf("the file holds %q, %v", content, err)
	}
}

func TestAPathThatIsTooLongIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("d", 110))
	if _, err := wire.Listen(path, nil); err == nil || !strings.Contains(err.Error(), "choose a shorter directory") {
		t.Errorf("a path of %d bytes: %v", len(path), err)
	}
}
