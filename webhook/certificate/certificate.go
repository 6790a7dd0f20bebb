// Package certificate is the certificate that a server shows: read from a
// directory that others renew (Directory), or issued and renewed by the server's
// replicas themselves (Managed, by cert-controller's rotator). It knows nothing
// of reviews, pods and networks.
package certificate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Keys of log lines.
const (
	keyCertificate = "certificate"
	keyError       = "error"
	keyExpires     = "expires"
)

// errNone is what clients and probes hear before the first certificate.
var errNone = errors.New("no serving certificate is loaded yet")

// current says why a certificate cannot be shown now.
func current(pair *tls.Certificate, now time.Time) error {
	if now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("the serving certificate ended at %s: whatever renews it does not", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
