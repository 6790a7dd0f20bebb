//go:build lab

package scenario_test

import (
	"net/http"
	"testing"
)

// With hop limit 1, the default of many node groups, pods do not reach IMDS.
// Their workers are then found by EC2, and nothing else changes. All scenarios
// have such a worker; here is the proof that it is one.
func TestWithoutMetadataPodsFindTheirWorkersByEC2(t *testing.T) {
	t.Parallel()
	if hopLimit("i-worker2") != 1 {
		t.Skip("LAB_HOP_LIMIT lets all pods reach IMDS")
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
