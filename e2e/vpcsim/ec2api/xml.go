package ec2api

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
)

// Namespace is the XML namespace of successful answers. Errors have none.
const Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"

const timeFormat = "2006-01-02T15:04:05.000Z"

// Head begins every successful answer; answers embed it.
type Head struct {
	XMLName   xml.Name
	RequestID string `xml:"requestId"`
}

// reply is a successful answer.
type reply interface {
	begin(action, requestID string)
}

func (h *Head) begin(action, requestID string) {
	h.XMLName = xml.Name{Space: Namespace, Local: action + "Response"}
	h.RequestID = requestID
}

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
	XMLName   xml.Name `xml:"Response"`
	Code      string   `xml:"Errors>Error>Code"`
	Message   string   `xml:"Errors>Error>Message"`
	RequestID string   `xml:"RequestID"`
}

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// write sends an answer or, when err is not nil, a refusal.
func write(w http.ResponseWriter, action, requestID string, ok reply, err *apierr.Error) {
	status, indent := http.StatusOK, "    "
	var body any = ok
	if err != nil {
		status, indent = err.Status, ""
		body = failure{Code: err.Code, Message: err.Message, RequestID: requestID}
	} else {
		ok.begin(action, requestID)
	}
	text, encodeErr := xml.MarshalIndent(body, "", indent)
	if encodeErr != nil {
		status, text = http.StatusInternalServerError, fmt.Appendf(nil, "<!-- %q -->", encodeErr.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml;charset=UTF-8")
	h.Set("Server", "AmazonEC2")
	h.Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")) // the caller may be gone
	_, _ = w.Write(text)
}
