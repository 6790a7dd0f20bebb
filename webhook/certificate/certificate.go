// Package certificate is the certificate that a server shows: read from a
// directory that others renew (Directory), or made, announced and renewed by
// the server's replicas themselves (Managed). It knows nothing of reviews, pods
// and networks.
package certificate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Keys of log lines.
const (
	keyCertificate   = "certificate"
	keyConfiguration = "configuration"
	keyError         = "error"
	keyExpires       = "expires"
	keyObject        = "object"
)

// errNone is what clients and probes hear before the first certificate.
var errNone = errors.New("no serving certificate is loaded yet")

// current says whether a certificate can be shown now. None can be nil.
func current(pair *tls.Certificate, now time.Time) error {
	switch {
	case pair == nil:
		return errNone
	case now.After(pair.Leaf.NotAfter):
		return fmt.Errorf("the serving certificate ended at %s: whatever renews it does not", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
