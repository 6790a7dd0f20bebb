// Package nodegroup holds config/nodegroup against what it promises: the script
// of a worker, with a simulated VPC's metadata and a host's recorded tools.
package nodegroup
