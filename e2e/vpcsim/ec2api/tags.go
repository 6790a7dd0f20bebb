package ec2api

import (
	"errors"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/world"
)

type metadataReply struct {
	Head
	Instance string        `xml:"instanceId"`
	Options  metadataShape `xml:"instanceMetadataOptions"`
}

func createTags(a *API, p query.Params) (reply, error) {
	ids, tags := p.List("ResourceId"), p.Tags("Tag")
	if len(ids) == 0 || len(tags) == 0 {
		return nil, apierr.Missing("resourceIdSet and tagSet")
	}
	return &done{Return: true}, a.World.Tag(ids, tags)
}

func deleteTags(a *API, p query.Params) (reply, error) {
	ids, tags := p.List("ResourceId"), map[string]*string{}
	for _, t := range p.Each("Tag") {
		tags[t["Key"]] = t.Optional("Value")
	}
	if len(ids) == 0 {
		return nil, apierr.Missing("resourceIdSet")
	}
	return &done{Return: true}, a.World.Untag(ids, tags)
}

func modifyMetadata(a *API, p query.Params) (reply, error) {
	hops, err := p.Int("HttpPutResponseHopLimit")
	if err == nil && hops != nil && (*hops < 1 || *hops > 64) {
		err = apierr.Value("Value (%d) for parameter HttpPutResponseHopLimit is invalid. Expecting 1 to 64.", *hops)
	}
	tokens, err2 := oneOf(p, "HttpTokens", "required", "optional")
	endpoint, err3 := oneOf(p, "HttpEndpoint", "enabled", "disabled")
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	m, err := a.World.ModifyMetadata(p["InstanceId"], func(m *world.Metadata) {
		if hops != nil {
			m.HopLimit = *hops
		}
		if tokens != "" {
			m.TokensOptional = tokens == "optional"
		}
		if endpoint != "" {
			m.Disabled = endpoint == "disabled"
		}
	})
	return &metadataReply{Instance: p["InstanceId"], Options: metadataOptions(m)}, err
}

func oneOf(p query.Params, name, a, b string) (string, error) {
	v := p[name]
	if v != "" && v != a && v != b {
		return "", apierr.Value("Value (%s) for parameter %s is invalid. Expecting %s or %s.", v, name, a, b)
	}
	return v, nil
}
