// Package kubelet plays a kubelet's container runtime outside the lab: the
// containers of pods are processes of this machine, and a local program stands
// in for an image.
//
// [StartContainer] runs one container of a pod, with the arguments of its spec,
// with the environment of its spec and no other, with its probes and its
// termination message, in a sandbox that the caller gives. It asks no API server:
// package nodes does.
//
// What it does not play: images and registries, users, and resource limits.
package kubelet
