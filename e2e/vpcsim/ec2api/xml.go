package ec2api

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
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

// AWS's client closes its request body twice, and net/http gives up the
// connection when the second time comes early, even if the answer is still
// being read. A network hides that; on loopback an answer that does not fit
// into the client's first read (4 KB) breaks off. So large ones take a moment.
const (
	largeAnswer = 3 << 10
	moment      = 2 * time.Millisecond
)

// write sends an answer or, when err is not nil, a refusal.
func (a *API) write(w http.ResponseWriter, action, requestID string, ok reply, err *apierr.Error) {
	var text bytes.Buffer
	text.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	status, enc := http.StatusOK, xml.NewEncoder(&text)
	var encodeErr error
	if err != nil {
		status = err.Status
		encodeErr = enc.EncodeElement(failure{Code: err.Code, Message: err.Message, RequestID: requestID}, element("", "Response"))
	} else {
		ok.identify(requestID)
		enc.Indent("", "    ")
		encodeErr = enc.EncodeElement(ok, element(Namespace, action+"Response"))
	}
	if encodeErr != nil {
		http.Error(w, encodeErr.Error(), http.StatusInternalServerError)
		return
	}
	if text.Len() > largeAnswer {
		_ = a.Sleep(moment) // a simulator that closes answers at once
	}
	h := w.Header()
	h.Set("Content-Type", "text/xml;charset=UTF-8")
	h.Set("Server", "AmazonEC2")
	h.Set("Date", a.clock().UTC().Format(http.TimeFormat))
	h.Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = text.WriteTo(w) // the caller may be gone
}

func element(space, name string) xml.StartElement {
	return xml.StartElement{Name: xml.Name{Space: space, Local: name}}
}
