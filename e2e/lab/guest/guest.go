// Package guest is what the lab passes to a worker's init, one JSON file, read
// through the host's file system, and how the lab runs commands there.
package guest

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// Argument is the word of the kernel's command line that names the file.
const Argument = "lab.config="

// AgentPort is where a worker's agent listens.
const AgentPort = 7000

// Programs is the directory of the worker's programs.
const Programs = "/lab/bin"

// Config says what a worker is. Init knows nothing of Kubernetes: that is in
// files and services.
type Config struct {
	Name string
	// Modules is the host's directory of kernel modules, by kernel release.
	Modules string
	// Load are the modules to load.
	Load []string
	// Empty are directories that begin empty, whatever the host has there.
	Empty []string
	// Binds are files of the host that appear in the worker: path there to
	// path on the host.
	Binds map[string]string
	// Files are written; Links are symbolic links.
	Files map[string]string
	Links map[string]string
	// Covers are files of the worker that hide others, such as below /proc.
	Covers map[string]string
	// Interfaces are configured; Gateway is where the default route leads.
	Interfaces []Interface
	Gateway    netip.Addr
	// Sysctls are set after the interfaces are up.
	Sysctls map[string]string
	// Services are started one after the other.
	Services []Service
}

// Interface is a network interface.
type Interface struct {
	// Device is the kernel's name, Name the one it shall have.
	Device, Name string
	Addresses    []netip.Prefix
}

// Service is a program that runs with the worker.
type Service struct {
	Name string
	Args []string
	// Socket is a unix socket on which it serves; the next service starts then.
	Socket string
	// Once is a program that ends before the next service starts.
	Once bool
}

// Log returns the path of a service's log, in the worker.
func (s Service) Log() string { return "/var/log/" + s.Name + ".log" }

// Write leaves the configuration in a file.
func (c Config) Write(path string) error {
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// Read finds the file by the kernel's command line and reads it.
func Read(commandLine string) (c Config, err error) {
	for word := range strings.FieldsSeq(commandLine) {
		path, ok := strings.CutPrefix(word, Argument)
		if !ok {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return Config{}, err
		}
		if err := json.Unmarshal(text, &c); err != nil {
			return Config{}, fmt.Errorf("%s: %w", path, err)
		}
		return c, nil
	}
	return Config{}, fmt.Errorf("the kernel's command line has no %s", Argument)
}
