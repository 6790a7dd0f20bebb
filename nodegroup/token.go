package nodegroup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// token is the client token for the ENI of an instance in a network. It does
// not depend on the address that is asked for: so EC2 lets one ENI come into
// being, however many events, retries and invocations ask, and however late
// their views are. EC2 never accepts a token again whose ENI was deleted; the
// next one is that of the next number.
func token(cluster, nodeGroup, instance, network string, number int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d", cluster, nodeGroup, instance, network, number))
	return "multus-ipmgr-" + hex.EncodeToString(sum[:])[:40]
}
