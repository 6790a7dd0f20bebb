// Package samples proves config/samples: kubectl-ipmgr finds no fault in them,
// a real API server accepts them, before and after injection, and each of their
// pods gets the IP manager. It has tests only.
package samples
