// Package sigv4 verifies AWS signature version 4 in the Authorization header,
// written from the public description of the algorithm so that it does not
// share mistakes with the SDK that signs.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/apierr"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/credentials"
)

// MaxSkew is how far the caller's clock may be off. Beyond it EC2 answers as if
// the key were unknown.
const MaxSkew = 5 * time.Minute

const timeFormat = "20060102T150405Z"

// Verifier checks the signatures of requests to one service in one Region.
type Verifier struct {
	Region, Service string
	// Lookup finds an access key.
	Lookup func(keyID string) (credentials.Key, bool)
	// ExpiredCode returns the error code for expired temporary credentials.
	ExpiredCode func() string
}

// Verify checks that r, whose body has been read already, was signed by a known
// key at about the time now. The error is an *apierr.Error.
func (v Verifier) Verify(r *http.Request, body []byte, now time.Time) error {
	text := r.Header.Get("Authorization")
	if text == "" {
		return apierr.New("MissingAuthenticationToken",
			"Request must contain either a valid (registered) AWS access key ID or X.509 certificate.")
	}
	h, err := ParseHeader(text)
	if err != nil {
		return apierr.New("IncompleteSignature", "%s", err)
	}
	if h.Service != v.Service || h.Region != v.Region {
		return apierr.New("AuthFailure", "Credential should be scoped to a valid region and service: "+
			"signed for %s in %s, this is %s in %s", h.Service, h.Region, v.Service, v.Region)
	}
	key, ok := v.Lookup(h.KeyID)
	if !ok || key.Token != r.Header.Get("X-Amz-Security-Token") {
		return errNotValidated()
	}
	if err := v.checkTime(r, h, key, now); err != nil {
		return err
	}
	want, err := Sign(r, body, h, key.Secret)
	if err != nil {
		return apierr.New("IncompleteSignature", "%s", err)
	}
	if !hmac.Equal([]byte(want), []byte(h.Signature)) {
		return errNotValidated()
	}
	return nil
}

func errNotValidated() error {
	return apierr.New("AuthFailure", "AWS was not able to validate the provided access credentials")
}

func (v Verifier) checkTime(r *http.Request, h Header, key credentials.Key, now time.Time) error {
	signed, err := time.Parse(timeFormat, r.Header.Get("X-Amz-Date"))
	if err != nil || signed.Format("20060102") != h.Date {
		return apierr.New("IncompleteSignature", "X-Amz-Date %q is not a date of the form %s on the day of the Credential",
			r.Header.Get("X-Amz-Date"), timeFormat)
	}
	if signed.Sub(now).Abs() > MaxSkew {
		return errNotValidated() // EC2 does not say that it is the clock; only the answer's Date does
	}
	if key.Token != "" && now.After(key.Expires) {
		return apierr.New(v.ExpiredCode(), "The security token included in the request is expired")
	}
	return nil
}

// Sign computes the signature that a request must carry. The error names a
// signed header that the request does not have, or a malformed query.
func Sign(r *http.Request, body []byte, h Header, secret string) (string, error) {
	canonical, err := canonicalRequest(r, body, h.SignedHeaders)
	if err != nil {
		return "", err
	}
	scope := strings.Join([]string{h.Date, h.Region, h.Service, "aws4_request"}, "/")
	toSign := strings.Join([]string{Algorithm, r.Header.Get("X-Amz-Date"), scope, digest([]byte(canonical))}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{h.Date, h.Region, h.Service, "aws4_request", toSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key), nil
}

func canonicalRequest(r *http.Request, body []byte, signed []string) (string, error) {
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	var headers strings.Builder
	for _, name := range signed {
		value, err := headerValue(r, name)
		if err != nil {
			return "", err
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	return strings.Join([]string{
		r.Method, path, query, headers.String(), strings.Join(signed, ";"), digest(body),
	}, "\n"), nil
}

// headerValue returns a header as it is signed: values trimmed, runs of spaces
// folded. The server takes Host and sometimes Content-Length out of the map.
func headerValue(r *http.Request, name string) (string, error) {
	values := r.Header.Values(name)
	switch {
	case name == "host":
		values = []string{r.Host}
	case name == "content-length" && len(values) == 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	case len(values) == 0:
		return "", fmt.Errorf("the signed header %s is missing", name)
	}
	folded := make([]string, len(values))
	for i, v := range values {
		folded[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(folded, ","), nil
}

func canonicalQuery(raw string) (string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", fmt.Errorf("malformed query: %w", err)
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, v := range slices.Sorted(slices.Values(values[name])) {
			pairs = append(pairs, escape(name)+"="+escape(v))
		}
	}
	return strings.Join(pairs, "&"), nil
}

// escape is AWS's URI encoding, which unlike Go's leaves no + for a space.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
