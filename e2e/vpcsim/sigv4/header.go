package sigv4

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Algorithm is the only signing algorithm that is understood.
const Algorithm = "AWS4-HMAC-SHA256"

// Header is a parsed Authorization header.
type Header struct {
	// KeyID, Date (YYYYMMDD), Region and Service are the credential scope.
	KeyID, Date, Region, Service string
	// SignedHeaders are lower-case names in sorted order.
	SignedHeaders []string
	// Signature is 64 lower-case hexadecimal digits.
	Signature string
}

// ParseHeader reads an Authorization header of signature version 4.
func ParseHeader(text string) (Header, error) {
	rest, ok := strings.CutPrefix(text, Algorithm+" ")
	if !ok {
		return Header{}, fmt.Errorf("the Authorization header does not start with %s", Algorithm)
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, dup := fields[name]; !ok || dup {
			return Header{}, fmt.Errorf("the Authorization header has a malformed or repeated part %q", part)
		}
		fields[name] = value
	}
	h := Header{Signature: fields["Signature"]}
	if err := h.scope(fields["Credential"]); err != nil {
		return Header{}, err
	}
	if err := h.headers(fields["SignedHeaders"]); err != nil {
		return Header{}, err
	}
	if len(h.Signature) != 64 || strings.Trim(h.Signature, "0123456789abcdef") != "" {
		return Header{}, errors.New("the Signature is not 64 hexadecimal digits")
	}
	return h, nil
}

func (h *Header) scope(credential string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[4] != "aws4_request" || slices.Contains(parts, "") {
		return fmt.Errorf("the Credential %q is not KEY/DATE/REGION/SERVICE/aws4_request", credential)
	}
	h.KeyID, h.Date, h.Region, h.Service = parts[0], parts[1], parts[2], parts[3]
	return nil
}

func (h *Header) headers(list string) error {
	h.SignedHeaders = strings.Split(list, ";")
	if !slices.IsSorted(h.SignedHeaders) || list != strings.ToLower(list) {
		return fmt.Errorf("SignedHeaders %q are not sorted lower-case names", list)
	}
	for _, required := range []string{"host", "x-amz-date"} {
		if !slices.Contains(h.SignedHeaders, required) {
			return fmt.Errorf("%s is not among the SignedHeaders", required)
		}
	}
	return nil
}
