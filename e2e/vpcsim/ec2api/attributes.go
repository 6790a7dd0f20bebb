package ec2api

import (
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

type textValue struct {
	Value string `xml:"value"`
}

type truthValue struct {
	Value bool `xml:"value"`
}

// attributeReply has the one attribute that was asked for.
type attributeReply struct {
	Head
	ENI             string      `xml:"networkInterfaceId"`
	Attachment      *attachment `xml:"attachment"`
	Description     *textValue  `xml:"description"`
	Groups          *set[group] `xml:"groupSet"`
	SourceDestCheck *truthValue `xml:"sourceDestCheck"`
	PublicIP        *bool       `xml:"associatePublicIpAddress"`
}

func describeAttribute(a *API, p query.Params) (reply, error) {
	e, err := a.World.ENI(p["NetworkInterfaceId"])
	if err != nil {
		return nil, err
	}
	s, out := a.eniShape(e), &attributeReply{ENI: e.ID}
	switch name := p["Attribute"]; name {
	case "description":
		out.Description = &textValue{s.Description}
	case "groupSet":
		out.Groups = &s.Groups
	case "sourceDestCheck":
		out.SourceDestCheck = &truthValue{s.SourceDestCheck}
	case "attachment":
		out.Attachment = s.Attachment
	case "associatePublicIpAddress":
		out.PublicIP = new(s.Association != nil)
	case "":
		return nil, apierr.New("InvalidParameterCombination", "No attributes specified.")
	default:
		return nil, apierr.Value("Value (%s) for parameter attribute is invalid. Unknown network interface attribute", name)
	}
	return out, nil
}

// resetAttribute switches the source/destination check on: it is the only
// attribute that can be reset.
func resetAttribute(a *API, p query.Params) (reply, error) {
	if _, given := p["SourceDestCheck"]; !given {
		return nil, apierr.New("InvalidParameterCombination", "No attributes specified.")
	}
	return &done{Return: true}, a.World.ModifyENI(world.ModifyENI{ENI: p["NetworkInterfaceId"], SourceDestCheck: new(true)})
}
