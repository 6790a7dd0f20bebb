package vpc

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// ErrNotAWS means that an answer of status 200 is not the one that AWS gives
// to the call, such as the page of a proxy. The SDK takes it for an empty one.
var ErrNotAWS = errors.New("the answer is not AWS's")

// autoScaling is the SDK's id of the service, whose module not all programs
// hold.
const autoScaling = "Auto Scaling"

// Genuine returns an API option of the SDK: it fails calls of EC2, STS and Auto
// Scaling whose successful answer is not the one of that action or says that nothing was
// done, and calls of any service whose answer is longer than limit. Refusals
// are cut off at MaxRefusal.
func Genuine(limit int64) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error { return stack.Deserialize.Add(genuine{limit}, middleware.After) }
}

type genuine struct{ limit int64 }

// ID names the middleware.
func (genuine) ID() string { return "GenuineAnswer" }

// HandleDeserialize reads the whole answer before the SDK does.
func (g genuine) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	response, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok {
		return out, metadata, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body = Limit(response.Body, MaxRefusal)
		return out, metadata, nil
	}
	if service := awsmiddleware.GetServiceID(ctx); service != ec2.ServiceID && service != sts.ServiceID && service != autoScaling {
		response.Body = Limit(response.Body, g.limit) // not in XML
		return out, metadata, nil
	}
	body, err := io.ReadAll(Limit(response.Body, g.limit))
	_ = response.Body.Close()
	if err != nil {
		return out, metadata, fmt.Errorf("reading the answer: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return out, metadata, check(body, middleware.GetOperationName(ctx))
}

// check reports whether body is the successful answer to action: its root
// element is named after the action, and there is no <return> but true.
func check(body []byte, action string) error {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	root, err := element(decoder)
	if err != nil || root.Name.Local != action+"Response" {
		return fmt.Errorf("%w: it begins %q", ErrNotAWS, beginning(body))
	}
	said := ""
	for {
		child, err := element(decoder)
		switch {
		case errors.Is(err, errEnd) && said == "" && mustReturn(action):
			return fmt.Errorf("%w: it does not say that %s was done", ErrNotAWS, action)
		case errors.Is(err, errEnd):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrNotAWS, err)
		case child.Name.Local == "return":
			if err := decoder.DecodeElement(&said, &child); err != nil || strings.TrimSpace(said) != "true" {
				return fmt.Errorf("%w: it says return=%.20q", ErrNotAWS, said)
			}
		default:
			if err := decoder.Skip(); err != nil {
				return fmt.Errorf("%w: %w", ErrNotAWS, err)
			}
		}
	}
}

// mustReturn reports whether EC2 says return=true to an action. Describe calls
// and those of IPv6 answer with what they found or did.
func mustReturn(action string) bool {
	return action == "AssignPrivateIpAddresses" || action == "UnassignPrivateIpAddresses"
}

// errEnd is the end of the element that is being read.
var errEnd = errors.New("end of the element")

// element returns the next element that begins.
func element(decoder *xml.Decoder) (xml.StartElement, error) {
	for {
		token, err := decoder.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			return token, nil
		case xml.EndElement:
			return xml.StartElement{}, errEnd
		}
	}
}

// beginning is what a message can show of a body.
func beginning(body []byte) string {
	const shown = 40
	return string(body[:min(len(body), shown)])
}
