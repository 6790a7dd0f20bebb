// Package v1alpha1 is version v1alpha1 of the API group multus-ipmgr.io, as Go
// types. The CustomResourceDefinition in config/crd and the deep copies here
// are generated from it: run "make generate" after a change.
//
// +kubebuilder:object:generate=true
// +groupName=multus-ipmgr.io
package v1alpha1

//go:generate sh -c "$(go run -C ../../../e2e/tools . controller-gen) object crd:generateEmbeddedObjectMeta=false,maxDescLen=500 paths=. output:object:dir=. output:crd:dir=../../../config/crd"
