package config

import _ "embed"

//go:embed crd/multus-ipmgr.io_reservedcidrs.yaml
var reservedCIDRs []byte

//go:embed controller/rbac.yaml
var controllerRBAC []byte

// ReservedCIDRs returns the CustomResourceDefinition of ReservedCIDR, in YAML.
func ReservedCIDRs() []byte { return reservedCIDRs }

// ControllerRBAC returns the manifests of the controller's service account and
// of what it may do, as YAML documents.
func ControllerRBAC() []byte { return controllerRBAC }
