package ec2api

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/query"
)

// Namespace is the XML namespace of successful answers. Errors have none.
const Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"

const timeFormat = "2006-01-02T15:04:05.000Z"

// Head begins every successful answer; answers embed it.
type Head struct {
	RequestID string `xml:"requestId"`
}

// reply is a successful answer.
type reply interface{ identify(requestID string) }

func (h *Head) identify(requestID string) { h.RequestID = requestID }

// done is the answer of actions that return nothing.
type done struct {
	Head
	Return bool `xml:"return"`
}

// set is EC2's form of a list. An empty one is still an element.
type set[T any] struct {
	Items []T `xml:"item"`
}

type failure struct {
	Code      string `xml:"Errors>Error>Code"`
	Message   string `xml:"Errors>Error>Message"`
	RequestID string `xml:"RequestID"`
}

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// Encode implements query.Dialect.
func (a *API) Encode(action, requestID string, answer any, refusal *apierr.Error) (query.Answer, error) {
	var text bytes.Buffer
	text.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	status, enc := http.StatusOK, xml.NewEncoder(&text)
	var err error
	if refusal != nil {
		status = refusal.Status
		err = enc.EncodeElement(failure{Code: refusal.Code, Message: refusal.Message, RequestID: requestID}, element("", "Response"))
	} else {
		if ok, has := answer.(reply); has {
			ok.identify(requestID)
		}
		enc.Indent("", "    ")
		err = enc.EncodeElement(answer, element(Namespace, action+"Response"))
	}
	return query.Answer{Status: status, ContentType: "text/xml;charset=UTF-8", Server: "AmazonEC2", Body: text.Bytes()}, err
}

func element(space, name string) xml.StartElement {
	return xml.StartElement{Name: xml.Name{Space: space, Local: name}}
}
