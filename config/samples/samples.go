// Package samples holds the manifests of this directory that programs show.
package samples

import _ "embed"

//go:embed whereabouts.yaml
var whereabouts []byte

// Whereabouts returns whereabouts.yaml: a network, and a Deployment whose pods
// reach each other over it.
func Whereabouts() []byte { return whereabouts }
