package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

// MaxSize is the size, in bytes, of the largest topology file that is read.
const MaxSize = 16 << 20

// Mistakes is everything that is wrong with a topology file.
type Mistakes []string

// Error lists all mistakes, one a line.
func (m Mistakes) Error() string {
	if len(m) == 1 {
		return "topology: " + m[0]
	}
	return fmt.Sprintf("topology: %d mistakes:\n  %s", len(m), strings.Join(m, "\n  "))
}

// file is the YAML form. Addresses stay text here so that one bad address does
// not hide the mistakes after it.
type file struct {
	Region       string            `yaml:"region"`
	Account      string            `yaml:"account"`
	VPC          fileVPC           `yaml:"vpc"`
	VPCs         []fileVPC         `yaml:"vpcs"`
	Groups       []fileGroup       `yaml:"securityGroups"`
	Types        []fileType        `yaml:"instanceTypes"`
	Subnets      []fileSubnet      `yaml:"subnets"`
	Reservations []fileReservation `yaml:"reservations"`
	Instances    []fileInstance    `yaml:"instances"`
	ENIs         []fileENI         `yaml:"enis"`
	Scaling      []fileScaling     `yaml:"groups"`
	Settings     map[string]any    `yaml:"settings"`
}

type fileVPC struct {
	ID       string `yaml:"id"`
	CIDR     string `yaml:"cidr"`
	IPv6CIDR string `yaml:"ipv6Cidr"`
	// More are further blocks of both families.
	More []string `yaml:"moreCidrs"`
}

type fileGroup struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
	VPC  string `yaml:"vpc"`
}

type fileType struct {
	Name       string `yaml:"name"`
	Interfaces int    `yaml:"interfaces"`
	Addresses  int    `yaml:"addresses"`
	Cards      int    `yaml:"cards"`
	BareMetal  bool   `yaml:"bareMetal"`
}

type fileSubnet struct {
	ID       string            `yaml:"id"`
	VPC      string            `yaml:"vpc"`
	CIDR     string            `yaml:"cidr"`
	IPv6CIDR string            `yaml:"ipv6Cidr"`
	Zone     string            `yaml:"zone"`
	Tags     map[string]string `yaml:"tags"`
}

type fileReservation struct {
	ID          string            `yaml:"id"`
	Subnet      string            `yaml:"subnet"`
	CIDR        string            `yaml:"cidr"`
	Type        string            `yaml:"type"`
	Description string            `yaml:"description"`
	Tags        map[string]string `yaml:"tags"`
}

type fileInstance struct {
	ID         string            `yaml:"id"`
	Type       string            `yaml:"type"`
	Zone       string            `yaml:"zone"`
	HopLimit   *int              `yaml:"hopLimit"`
	HTTPTokens string            `yaml:"httpTokens"`
	State      string            `yaml:"state"`
	Role       string            `yaml:"role"`
	Tags       map[string]string `yaml:"tags"`
	ENIs       []fileENI         `yaml:"enis"`
}

type fileENI struct {
	ID           string            `yaml:"id"`
	Subnet       string            `yaml:"subnet"`
	DeviceIndex  int               `yaml:"deviceIndex"`
	NetworkCard  int               `yaml:"networkCard"`
	MAC          string            `yaml:"mac"`
	Primary      string            `yaml:"primary"`
	Secondaries  []string          `yaml:"secondaries"`
	IPv6         []string          `yaml:"ipv6"`
	IPv4Prefixes []string          `yaml:"ipv4Prefixes"`
	IPv6Prefixes []string          `yaml:"ipv6Prefixes"`
	Tags         map[string]string `yaml:"tags"`
	Description  string            `yaml:"description"`
	Groups       []string          `yaml:"groups"`
	Owner        string            `yaml:"owner"`
	PublicIP     string            `yaml:"publicIp"`
	Requester    string            `yaml:"requester"`
	Type         string            `yaml:"interfaceType"`
}

// Load reads a topology file. When the file is YAML at all but wrong, the
// error is [Mistakes] and lists everything that is wrong.
func Load(r io.Reader) (Topology, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return Topology{}, fmt.Errorf("topology: read: %w", err)
	}
	if len(data) > MaxSize {
		return Topology{}, fmt.Errorf("topology: larger than %d bytes", MaxSize)
	}
	f, mistakes, err := decode(string(data))
	if err != nil {
		return Topology{}, err
	}
	if f == nil {
		return Topology{}, mistakes
	}
	c := &checker{mistakes: mistakes}
	t := c.convert(f)
	c.check(t)
	if len(c.mistakes) > 0 {
		return Topology{}, c.mistakes
	}
	return t, nil
}

// decode reads exactly one YAML document. Unknown keys and values of a wrong
// kind are mistakes; text that is not YAML is an error.
func decode(data string) (*file, Mistakes, error) {
	f := &file{}
	dec := yaml.NewDecoder(strings.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(f)
	var wrong *yaml.TypeError
	switch {
	case errors.As(err, &wrong):
		return f, wrong.Errors, nil
	case errors.Is(err, io.EOF):
		return nil, Mistakes{"the file is empty"}, nil
	case err != nil:
		return nil, nil, fmt.Errorf("topology: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, Mistakes{"the file has more than one YAML document"}, nil
	}
	return f, nil, nil
}

// settingsJSON returns the settings section in the form that the control API
// takes, so that both accept the same.
func (c *checker) settingsJSON(section map[string]any) []byte {
	if len(section) == 0 {
		return nil
	}
	data, err := json.Marshal(section)
	if err == nil {
		_, err = settings.Defaults().With(data)
	}
	if err != nil {
		c.wrong("settings", "%s", strings.TrimPrefix(err.Error(), "settings: "))
		return nil
	}
	return data
}
