//go:build lab

package scenario_test

import (
	"net/http"
	"testing"
)

// With hop limit 1, the default of many node groups, pods do not reach IMDS.
// Their workers are then found by EC2, and nothing else changes. LAB_HOP_LIMIT=1
// plays all scenarios so.
func TestWithoutMetadataPodsFindTheirWorkersByEC2(t *testing.T) {
	t.Parallel() // other pods do not mind
	for _, instance := range []string{"i-worker1", "i-worker2"} {
		setHopLimit(t, instance, 1)
		t.Cleanup(func() { setHopLimit(t, instance, hopLimit()) })
	}
	const namespace = "no-metadata"
	optedIn(t, namespace)
	apply(t, namespace, "static.yaml", "MASTER", "eth1")
	upf := box{namespace: namespace, name: "upf-1", networks: static("static", dual(121)...), mode: "sidecar"}
	start(t, upf, box{namespace: namespace, name: "client-2", networks: static("static", dual(122)...), mode: "sidecar"})
	client := ready(t, namespace, "client-2")
	comeBack(t, upf, client)
	if code, text := metadata(t, client.Address); code != http.StatusGatewayTimeout {
		t.Errorf("the pod reaches IMDS: %d %s", code, text)
	}
}
