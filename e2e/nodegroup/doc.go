// Package nodegroup holds config/nodegroup against what it promises: the script
// of a worker, with a simulated VPC's metadata and a host's recorded tools, and
// the CloudFormation template, by its structure and by what its functions yield.
package nodegroup

//go:generate go run ./userdata ../../config/nodegroup
