// Package cloud runs the simulated VPC as a program and looks at it through
// its control API, as anyone outside could.
package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/demo/program"
)

// Cloud is a running vpcsim.
type Cloud struct {
	// EC2 is the URL of the EC2 API.
	EC2 string

	control string
	client  *http.Client
	program *program.Program
}

// ENI is one ENI as the control API lists it.
type ENI struct {
	ID          string
	Instance    string
	MAC         string
	DeviceIndex int
	Primary     netip.Addr
	Secondaries []netip.Addr
	IPv6        []netip.Addr
}

// Call is one EC2 request that arrived.
type Call struct {
	Action string
	Params map[string]string
	At     time.Time // of its arrival
	Result string
}

const (
	startTimeout = 10 * time.Second
	callTimeout  = 5 * time.Second
	grace        = 5 * time.Second
)

// Start starts the program at path with a topology. The EC2 API listens on
// ec2, the metadata service of each instance on port 80 of its eth0 address.
// Logs and files go to dir.
func Start(ctx context.Context, dir, path string, topology Topology, ec2 netip.Addr) (*Cloud, error) {
	file := filepath.Join(dir, "topology.yaml")
	if err := os.WriteFile(file, topology.text, 0o600); err != nil {
		return nil, err
	}
	args := []string{"--topology", file, "--ec2", ec2.String() + ":80", "--control", "127.0.0.1:0"}
	for _, i := range topology.Instances {
		args = append(args, "--imds", i.ID+"="+i.Eth0().String()+":80")
	}
	p, err := program.Start(dir, path, args...)
	if err != nil {
		return nil, err
	}
	c := &Cloud{program: p, client: &http.Client{Transport: &http.Transport{}, Timeout: callTimeout}}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	line, err := p.FirstLine(ctx)
	if err == nil {
		err = c.learn(line)
	}
	if err != nil {
		_ = c.Stop() // err says more
		return nil, err
	}
	return c, nil
}

// learn reads the URLs from the line that vpcsim prints when it serves.
func (c *Cloud) learn(line string) error {
	for field := range strings.FieldsSeq(line) {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "ec2":
			c.EC2 = strings.TrimSuffix(value, ":80")
		case "control":
			c.control = value
		}
	}
	if !strings.HasPrefix(line, "ready ") || c.EC2 == "" || c.control == "" {
		return fmt.Errorf("vpcsim said %q, want ready ec2=URL control=URL", line)
	}
	return nil
}

// Stop ends the simulator.
func (c *Cloud) Stop() error {
	c.client.CloseIdleConnections()
	return c.program.Stop(grace)
}

// ENIs lists the ENIs as EC2 has them now.
func (c *Cloud) ENIs(ctx context.Context) (enis []ENI, err error) {
	return enis, c.do(ctx, http.MethodGet, "/v1/enis", nil, &enis)
}

// Calls lists the EC2 calls that arrived, also those under way.
func (c *Cloud) Calls(ctx context.Context) (calls []Call, err error) {
	return calls, c.do(ctx, http.MethodGet, "/v1/calls?pending=true", nil, &calls)
}

// Routes tells to which ENI the VPC delivers packets for an address.
func (c *Cloud) Routes(ctx context.Context) (routes map[string]string, err error) {
	return routes, c.do(ctx, http.MethodGet, "/v1/routes", nil, &routes)
}

// Set changes settings of the simulator.
func (c *Cloud) Set(ctx context.Context, settings map[string]any) error {
	return c.do(ctx, http.MethodPost, "/v1/settings", settings, nil)
}

// Forget empties the list of calls.
func (c *Cloud) Forget(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/v1/reset", struct{}{}, nil)
}

func (c *Cloud) do(ctx context.Context, method, path string, body, into any) error {
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.control+path, &payload)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask vpcsim: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("ask vpcsim: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: vpcsim answers %s: %s", method, path, response.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
