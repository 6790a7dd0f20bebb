// Package ec2api is the wire protocol of EC2: the Query API with its
// throttling, paging, filters and XML. What the requests do is decided by
// package world.
package ec2api

import (
	"net/http"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/throttle"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// Version is the API version that is spoken.
const Version = "2016-11-15"

// API serves the EC2 Query API. All fields are required.
type API struct {
	query.Service
	World   *world.World
	Buckets *throttle.Buckets
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.Serve(w, r, a) }

// Health implements query.Dialect.
func (a *API) Health(s settings.Settings) settings.Health { return s.EC2 }

// Do implements query.Dialect.
func (a *API) Do(p query.Params) (any, error) {
	if err := a.throttle(p); err != nil {
		return nil, err
	}
	return a.run(p["Action"], p)
}

// throttle takes a token from the bucket of the request.
func (a *API) throttle(p query.Params) error {
	s := a.Settings.Get()
	key := throttle.Key{Action: p["Action"], Unbound: unbound(p)}
	if !s.Throttle || a.Buckets.Take(key, a.Now()) {
		return nil
	}
	text := "Request limit exceeded."
	if s.ThrottleNamesAction {
		text += " Account " + a.World.Account + " has been throttled on ec2:" + p["Action"] +
			" because it exceeded its request rate limit."
	}
	return apierr.New("RequestLimitExceeded", "%s", text)
}

// unbound reports whether a Describe call neither filters nor pages.
func unbound(p query.Params) bool {
	_, paged := p["MaxResults"]
	return !paged && len(p.Each("Filter")) == 0 && len(p.List("NetworkInterfaceId")) == 0 && len(p.List("InstanceId")) == 0
}

// run checks what all actions have in common and then lets the action run.
func (a *API) run(name string, p query.Params) (reply, error) {
	act, known := actions()[name]
	switch {
	case name == "":
		return nil, apierr.New("MissingAction", "The request is missing an action or a required parameter.")
	case !known:
		return nil, apierr.New("InvalidAction", "The action %s is not valid for this web service.", name)
	case p["Version"] != "" && p["Version"] != Version:
		return nil, apierr.New("NoSuchVersion", "The requested version (%s) of service AmazonEC2 does not exist", p["Version"])
	}
	if deny := a.Settings.Get().Deny; slices.Contains(deny, name) || slices.Contains(deny, chaos.Any) {
		return nil, apierr.New("UnauthorizedOperation", "You are not authorized to perform this operation. "+
			"Encoded authorization failure message: c2ltdWxhdGVk")
	}
	if act.dryRun {
		if dry, err := p.Is("DryRun"); err != nil || dry {
			return nil, orDryRun(err)
		}
	}
	if err := act.recognise(p); err != nil {
		return nil, err
	}
	return act.run(a, p)
}

// orDryRun is EC2's answer to an authorised dry run: it does not look at the
// rest of the request.
func orDryRun(err error) error {
	if err != nil {
		return err
	}
	return apierr.New("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
}
