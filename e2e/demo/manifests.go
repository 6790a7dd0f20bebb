package main

import (
	_ "embed"
	"strings"
)

//go:embed manifests/topology.yaml
var topologyYAML []byte

//go:embed manifests/network.yaml
var networkYAML []byte

//go:embed manifests/upf.yaml
var upfYAML []byte

//go:embed manifests/session.yaml
var sessionYAML []byte

// from returns a manifest from the line on that begins with marker.
func from(manifest []byte, marker string) string {
	_, rest, _ := strings.Cut(string(manifest), "\n"+marker)
	return marker + rest
}
