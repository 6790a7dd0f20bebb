// Package control is the HTTP and JSON interface through which tests look at
// the simulator and disturb it.
package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscaling"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/dataplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/eventbus"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/imds"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/journal"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/throttle"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// maxBody is the size of the largest request, in bytes.
const maxBody = 1 << 20

// Control serves the control API. All fields are required.
type Control struct {
	World    *world.World
	Settings *settings.Store
	Faults   *chaos.Queue
	Journal  *journal.Journal
	Buckets  *throttle.Buckets
	IMDS     *imds.Service
	Scaling  *autoscaling.Scaling
	Bus      *eventbus.Bus
	// CatchUp carries out what is due.
	CatchUp func()
	// DataPlane counts and captures what the VPC carries.
	DataPlane *dataplane.Plane
	// Closing is closed when the simulator ends, and captures with it.
	Closing <-chan struct{}
}

// ENI is one ENI as /v1/enis lists it.
type ENI struct {
	ID string `json:"id"`
	// Instance is "" for an unattached ENI, whose DeviceIndex means nothing.
	Instance     string            `json:"instance"`
	Subnet       string            `json:"subnet"`
	MAC          string            `json:"mac"`
	DeviceIndex  int               `json:"deviceIndex"`
	Primary      netip.Addr        `json:"primary"`
	Secondaries  []netip.Addr      `json:"secondaries"`
	IPv6         []netip.Addr      `json:"ipv6"`
	Tags         map[string]string `json:"tags"`
	IPv4Prefixes []netip.Prefix    `json:"ipv4Prefixes,omitempty"`
	IPv6Prefixes []netip.Prefix    `json:"ipv6Prefixes,omitempty"`
}

// Subnet is one subnet as /v1/subnets lists it.
type Subnet struct {
	ID        string       `json:"id"`
	CIDR      netip.Prefix `json:"cidr"`
	IPv6CIDR  string       `json:"ipv6Cidr,omitempty"`
	Zone      string       `json:"zone"`
	Available int          `json:"available"`
}

// Handler returns the HTTP handler.
func (c *Control) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/enis", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.ENIs()) })
	mux.HandleFunc("GET /v1/subnets", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.subnets()) })
	mux.HandleFunc("GET /v1/routes", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.routes()) })
	mux.HandleFunc("GET /v1/imds", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.IMDS.Counts()) })
	mux.HandleFunc("GET /v1/dataplane", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.DataPlane.Status()) })
	mux.HandleFunc("GET /v1/pcap", c.getPcap)
	mux.HandleFunc("GET /v1/calls", func(w http.ResponseWriter, r *http.Request) {
		pending, _ := strconv.ParseBool(r.URL.Query().Get("pending"))
		answer(w, c.Journal.Calls(pending))
	})
	mux.HandleFunc("GET /v1/settings", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.Settings.Get()) })
	mux.HandleFunc("POST /v1/settings", c.postSettings)
	mux.HandleFunc("GET /v1/faults", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.Faults.Pending()) })
	mux.HandleFunc("POST /v1/faults", c.postFaults)
	c.scaling(mux)
	mux.HandleFunc("POST /v1/reset", func(w http.ResponseWriter, _ *http.Request) {
		c.Reset()
		answer(w, struct{}{})
	})
	return mux
}

// Reset forgets calls, faults, events and the data plane's counters and fills the
// token buckets. The world and the settings stay.
func (c *Control) Reset() {
	c.Journal.Reset()
	c.Faults.Reset()
	c.Buckets.Reset()
	c.IMDS.Reset()
	c.DataPlane.Reset()
	c.Bus.Reset()
}

// ENIs lists the ENIs as they are now, in the order of their creation.
func (c *Control) ENIs() []ENI {
	c.CatchUp()
	out := []ENI{}
	for _, e := range c.World.ENIs(lag.Now) {
		item := ENI{
			ID: e.ID, Subnet: e.Subnet, MAC: e.MAC, Primary: e.Primary, Secondaries: orEmpty(e.Secondaries),
			IPv6: orEmpty(e.IPv6), Tags: e.Tags, IPv4Prefixes: e.IPv4Prefixes, IPv6Prefixes: e.IPv6Prefixes,
		}
		if item.Tags == nil {
			item.Tags = map[string]string{}
		}
		if at := e.Attachment; at != nil {
			item.Instance, item.DeviceIndex = at.Instance, at.DeviceIndex
		}
		out = append(out, item)
	}
	return out
}

func (c *Control) subnets() []Subnet {
	out := []Subnet{}
	for _, s := range c.World.Subnets() {
		item := Subnet{ID: s.ID, CIDR: s.CIDR, Zone: s.Zone, Available: c.World.Available(s.ID)}
		if s.IPv6CIDR.IsValid() {
			item.IPv6CIDR = s.IPv6CIDR.String()
		}
		out = append(out, item)
	}
	return out
}

func (c *Control) routes() map[string]string {
	out := map[string]string{}
	for p, eni := range c.World.Routes() {
		if p.IsSingleIP() {
			out[p.Addr().String()] = eni
		} else {
			out[p.String()] = eni
		}
	}
	return out
}

func (c *Control) postSettings(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		_, err = c.Settings.Patch(body)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, c.Settings.Get())
}

func (c *Control) postFaults(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, err)
		return
	}
	faults, err := ParseFaults(body)
	if err == nil {
		err = c.Faults.Add(faults...)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, c.Faults.Pending())
}

// ParseFaults reads one fault or an array of faults.
func ParseFaults(body []byte) ([]chaos.Fault, error) {
	var one [1]chaos.Fault
	var many []chaos.Fault
	var into any = &one[0]
	if body = bytes.TrimSpace(body); bytes.HasPrefix(body, []byte("[")) {
		into = &many
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("fault: more than one JSON value")
	}
	if into == any(&many) {
		return many, nil
	}
	return one[:], nil
}

func orEmpty(list []netip.Addr) []netip.Addr {
	if list == nil {
		return []netip.Addr{}
	}
	return list
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the caller may be gone
}
