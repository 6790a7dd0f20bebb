package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscaling"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
)

// Instance is one instance as /v1/instances lists it.
type Instance struct {
	ID    string            `json:"id"`
	Type  string            `json:"type"`
	Zone  string            `json:"zone"`
	State string            `json:"state"`
	Tags  map[string]string `json:"tags"`
}

// Group is one Auto Scaling group as /v1/groups lists it.
type Group struct {
	Name    string   `json:"name"`
	Desired int      `json:"desired"`
	Min     int      `json:"min"`
	Max     int      `json:"max"`
	Members []Member `json:"members"`
	Pool    []Member `json:"pool,omitempty"`
}

// Member is an instance of a group.
type Member struct {
	Instance string `json:"instance"`
	Zone     string `json:"zone"`
	State    string `json:"state"`
}

func (c *Control) scaling(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/instances", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.instances()) })
	mux.HandleFunc("POST /v1/instances/{id}", c.postInstance)
	mux.HandleFunc("GET /v1/groups", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.Groups()) })
	mux.HandleFunc("POST /v1/groups/{name}", c.postGroup)
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jsonl")
		for _, event := range c.Bus.Events() {
			_, _ = w.Write(append(event, '\n')) // the caller may be gone
		}
	})
}

func (c *Control) instances() []Instance {
	c.CatchUp()
	out := []Instance{}
	for _, in := range c.World.Instances(lag.Now) {
		tags := in.Tags
		if tags == nil {
			tags = map[string]string{}
		}
		out = append(out, Instance{in.ID, in.Type, in.Zone, in.State, tags})
	}
	return out
}

// Groups lists the Auto Scaling groups as they are now.
func (c *Control) Groups() []Group {
	c.CatchUp()
	out := []Group{}
	for _, g := range c.Scaling.Groups(lag.Now) {
		item := Group{Name: g.Name, Desired: g.Desired, Min: g.Min, Max: g.Max, Members: members(g.Members)}
		if g.WarmPool != nil {
			item.Pool = members(g.Pool)
		}
		out = append(out, item)
	}
	return out
}

func members(list []autoscaling.Member) []Member {
	out := []Member{}
	for _, m := range list {
		out = append(out, Member{m.Instance, m.Zone, string(m.State)})
	}
	return out
}

// postGroup changes the size of a group.
func (c *Control) postGroup(w http.ResponseWriter, r *http.Request) {
	var want struct {
		Desired *int `json:"desired"`
	}
	err := readJSON(w, r, &want)
	switch {
	case err == nil && want.Desired == nil:
		err = errors.New("desired is missing")
	case err == nil:
		err = c.SetDesired(r.PathValue("name"), *want.Desired)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, c.Groups())
}

// SetDesired changes how many instances a group shall have.
func (c *Control) SetDesired(group string, n int) error {
	c.CatchUp()
	err := c.Scaling.SetDesired(group, n)
	c.CatchUp()
	return err
}

// postInstance starts, stops, reboots or ends an instance, as somebody does who
// uses EC2 and not Auto Scaling.
func (c *Control) postInstance(w http.ResponseWriter, r *http.Request) {
	var want struct {
		Do string `json:"do"`
	}
	err := readJSON(w, r, &want)
	if err == nil {
		err = c.Command(r.PathValue("id"), want.Do)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, c.instances())
}

// Command carries out what /v1/instances/ID is asked to do.
func (c *Control) Command(instance, do string) error {
	commands := map[string]func(string) error{
		"start": c.World.StartInstance, "stop": c.World.StopInstance, "reboot": c.World.RebootInstance,
		"terminate": c.World.TerminateInstance, "replace-root-volume": c.Scaling.ReplaceRootVolume,
	}
	command, known := commands[do]
	if !known {
		return fmt.Errorf("do is %q, want start, stop, reboot, terminate or replace-root-volume", do)
	}
	c.CatchUp()
	err := command(instance)
	c.CatchUp()
	return err
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
