package uml

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The protocol of a kernel's management console, of arch/um/drivers/mconsole.h:
// a datagram each way, of a header and the text.
const (
	consoleMagic   = 0xcafebabe
	consoleVersion = 2
	consoleRequest = 512 // bytes of the text, padded with zeros
	consoleAnswer  = 512
	consoleHeader  = 12 // magic or error, version or more, length
	plugTimeout    = 10 * time.Second
)

// Plug adds the network interface vecN to a running kernel, as a hypervisor adds
// a device. Spec.Links are the first ones.
func (k *Kernel) Plug(ctx context.Context, n int, l Link) error {
	text, err := k.ask(ctx, fmt.Sprintf("config vec%d:%s", n, l.transport()))
	if err != nil {
		return fmt.Errorf("plug vec%d into %s: %w", n, k.spec.Name, err)
	}
	if text != "" {
		return fmt.Errorf("plug vec%d into %s: the kernel answers %q", n, k.spec.Name, text)
	}
	return nil
}

// ask sends a command to the management console and returns the answer.
func (k *Kernel) ask(ctx context.Context, command string) (string, error) {
	if len(command) >= consoleRequest {
		return "", fmt.Errorf("the command has %d bytes, the console takes %d", len(command), consoleRequest-1)
	}
	ctx, cancel := context.WithTimeout(ctx, plugTimeout)
	defer cancel()
	own := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(k.spec.Dir, k.spec.Name+".ask")}
	conn, err := net.DialUnix("unixgram", own, &net.UnixAddr{Net: "unixgram", Name: k.spec.console()})
	if err != nil {
		return "", err
	}
	defer func() { _, _ = conn.Close(), os.Remove(own.Name) }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	request := make([]byte, consoleHeader+consoleRequest)
	binary.NativeEndian.PutUint32(request[0:], consoleMagic)
	binary.NativeEndian.PutUint32(request[4:], consoleVersion)
	binary.NativeEndian.PutUint32(request[8:], uint32(len(command)))
	copy(request[consoleHeader:], command)
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	answer := make([]byte, consoleHeader+consoleAnswer)
	size, err := conn.Read(answer)
	if err != nil {
		return "", err
	}
	if size < consoleHeader {
		return "", fmt.Errorf("an answer of %d bytes", size)
	}
	text, _, _ := bytes.Cut(answer[consoleHeader:size], []byte{0})
	if failed := binary.NativeEndian.Uint32(answer); failed != 0 {
		return "", fmt.Errorf("%s", text)
	}
	return string(text), nil
}

// console returns the path of the management console's socket.
func (s Spec) console() string { return filepath.Join(s.Dir, s.Name, "mconsole") }
