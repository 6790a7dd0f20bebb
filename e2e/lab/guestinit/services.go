package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lab/guest"
)

// socketTimeout is how long a service may take to serve. containerd takes 4 s
// on an idle machine.
const socketTimeout = 2 * time.Minute

// runServices starts the services in their order and serves the agent. It
// returns when that is not possible.
func runServices() error {
	c, err := guest.Read(guest.Argument + configPath)
	if err != nil {
		return err
	}
	agent := make(chan error, 1)
	go func() { agent <- serveAgent(c) }()
	for _, s := range c.Services {
		if err := start(s); err != nil {
			return fmt.Errorf("%s: %w; its log ends so:\n%s", s.Name, err, lastOf(s.Log()))
		}
		mark(s.Name)
	}
	return <-agent
}

// start starts a service and returns when the next one may start.
func start(s guest.Service) error {
	log, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) //nolint:gosec // one user's machine
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.Args[0], s.Args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if s.Once {
		return cmd.Run()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	over := make(chan error, 1)
	go func() {
		over <- cmd.Wait()
		mark(s.Name + " ended: " + cmd.ProcessState.String())
	}()
	return await(s.Socket, over)
}

// await waits until somebody listens on a socket.
func await(socket string, over <-chan error) error {
	if socket == "" {
		return nil
	}
	for deadline := time.Now().Add(socketTimeout); time.Now().Before(deadline); {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-over:
			return fmt.Errorf("ended: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("it does not serve on " + socket)
}

// lastOf returns the end of a file, for a message.
func lastOf(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-2000):]
}
