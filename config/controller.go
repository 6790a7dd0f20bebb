package config

import _ "embed"

//go:embed crd/multus-ipmgr.io_reservedcidrs.yaml
var reservedCIDRs []byte

// ReservedCIDRs returns the CustomResourceDefinition of ReservedCIDR, in YAML.
func ReservedCIDRs() []byte { return reservedCIDRs }
