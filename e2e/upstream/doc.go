// Package upstream compares what we read of annotations and NADs with what
// Multus and whereabouts themselves read, by their own code.
package upstream
