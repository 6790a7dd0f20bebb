// Package autoscalingapi is the wire protocol of Auto Scaling: the Query API with
// its paging, filters and XML. What the requests do is decided by package
// autoscaling.
package autoscalingapi

import (
	"bytes"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscaling"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/chaos"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

// Version is the API version that is spoken.
const Version = "2011-01-01"

// namespace is that of successful answers and of errors.
const namespace = "http://autoscaling.amazonaws.com/doc/2011-01-01/"

// API serves the Auto Scaling Query API. All fields are required.
type API struct {
	query.Service
	World   *world.World
	Scaling *autoscaling.Scaling
}

// action is one operation of the API.
type action struct {
	// params are the shapes of the parameters that are simulated.
	params []string
	run    func(*API, query.Params) (any, error)
}

// Actions lists the names of all operations, sorted.
func Actions() []string { return slices.Sorted(maps.Keys(actions())) }

func actions() map[string]action {
	return map[string]action{
		"CompleteLifecycleAction": {run: complete, params: []string{
			"AutoScalingGroupName", "LifecycleHookName", "LifecycleActionToken", "InstanceId", "LifecycleActionResult"}},
		"RecordLifecycleActionHeartbeat": {run: heartbeat, params: []string{
			"AutoScalingGroupName", "LifecycleHookName", "LifecycleActionToken", "InstanceId"}},
		"DescribeAutoScalingGroups": {run: describeGroups, params: []string{
			"AutoScalingGroupNames.member.N", "Filters.member.N.Name", "Filters.member.N.Values.member.N", "MaxRecords", "NextToken",
			"IncludeInstances"}},
		"DescribeAutoScalingInstances": {run: describeInstances, params: []string{"InstanceIds.member.N", "MaxRecords", "NextToken"}},
		"DescribeLifecycleHooks":       {run: describeHooks, params: []string{"AutoScalingGroupName", "LifecycleHookNames.member.N"}},
		"DescribeWarmPool":             {run: describeWarmPool, params: []string{"AutoScalingGroupName", "MaxRecords", "NextToken"}},
		"SetDesiredCapacity":           {run: setDesired, params: []string{"AutoScalingGroupName", "DesiredCapacity", "HonorCooldown"}},
		"TerminateInstanceInAutoScalingGroup": {run: terminate, params: []string{
			"InstanceId", "ShouldDecrementDesiredCapacity"}},
	}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.Serve(w, r, a) }

// Health implements query.Dialect.
func (a *API) Health(s settings.Settings) settings.Health { return s.AutoScaling }

// Do implements query.Dialect.
func (a *API) Do(p query.Params) (any, error) {
	name := p["Action"]
	act, known := actions()[name]
	switch {
	case name == "":
		return nil, apierr.New("MissingAction", "The request is missing an action or a required parameter.")
	case !known:
		return nil, apierr.New("InvalidAction", "Could not find operation %s for version %s", name, Version)
	case p["Version"] != Version:
		return nil, apierr.New("InvalidAction", "Could not find operation %s for version %s", name, p["Version"])
	}
	if deny := a.Settings.Get().Deny; slices.Contains(deny, name) || slices.Contains(deny, chaos.Any) {
		return nil, apierr.New("AccessDenied", "User: arn:aws:sts::%s:assumed-role/%s is not authorized to perform: autoscaling:%s "+
			"because no identity-based policy allows the autoscaling:%[3]s action", a.World.Account, "simulated", name)
	}
	for _, parameter := range slices.Sorted(maps.Keys(p.Flat())) {
		if !slices.Contains(act.params, query.Shape(parameter)) && p[parameter] != "" {
			return nil, errInvalid("The parameter %s is not simulated.", parameter)
		}
	}
	return act.run(a, p)
}

// failure is a refusal.
type failure struct {
	Type      string `xml:"Error>Type"`
	Code      string `xml:"Error>Code"`
	Message   string `xml:"Error>Message"`
	RequestID string `xml:"RequestId"`
}

// Encode implements query.Dialect.
func (a *API) Encode(name, requestID string, answer any, refusal *apierr.Error) (query.Answer, error) {
	var text bytes.Buffer
	out, enc := query.Answer{Status: http.StatusOK, ContentType: "text/xml"}, xml.NewEncoder(&text)
	var err error
	if refusal != nil {
		refusal = worded(refusal)
		out.Status = refusal.Status
		f := failure{"Sender", refusal.Code, refusal.Message, requestID}
		if refusal.Status >= http.StatusInternalServerError {
			f.Type = "Receiver"
		}
		err = enc.EncodeElement(f, element("ErrorResponse"))
	} else {
		err = enc.EncodeElement(response{answer, requestID, name + "Result"}, element(name+"Response"))
	}
	out.Body = text.Bytes()
	return out, err
}

// worded gives refusals that EC2 words in its own way Auto Scaling's code.
func worded(e *apierr.Error) *apierr.Error {
	switch e.Code {
	case "AuthFailure":
		return &apierr.Error{Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid.", Status: http.StatusForbidden}
	case "Throttling", "RequestLimitExceeded":
		return &apierr.Error{Code: "Throttling", Message: "Rate exceeded", Status: http.StatusBadRequest}
	case "UnauthorizedOperation":
		return &apierr.Error{Code: "AccessDenied", Message: e.Message, Status: http.StatusForbidden}
	}
	return e
}

// response is the envelope of a successful answer.
type response struct {
	result    any
	requestID string
	name      string
}

// MarshalXML implements xml.Marshaler: the result is named after the action.
func (r response) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	if r.result == nil {
		r.result = struct{}{}
	}
	if err := e.EncodeElement(r.result, xml.StartElement{Name: xml.Name{Local: r.name}}); err != nil {
		return err
	}
	metadata := struct {
		RequestID string `xml:"RequestId"`
	}{r.requestID}
	if err := e.EncodeElement(metadata, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}}); err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}

func element(name string) xml.StartElement {
	return xml.StartElement{Name: xml.Name{Space: namespace, Local: name}}
}

// list is Auto Scaling's form of a list.
type list[T any] struct {
	Items []T `xml:"member"`
}

func errInvalid(format string, args ...any) error {
	return apierr.New("ValidationError", format, args...)
}
