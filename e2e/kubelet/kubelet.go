// Package kubelet plays a kubelet and its container runtime outside the lab: the
// containers of pods are processes of this machine, and a local program stands
// in for an image.
//
// [StartContainer] runs one container of a pod, with the arguments of its spec,
// with the environment of its spec and no other, with its probes and its
// termination message, in a sandbox that the caller gives. It asks no API server.
//
// [Join] registers nodes with an API server and does for the pods that a
// scheduler binds to them what Deployments and Services can see: it waits for the
// Secrets of volumes and keeps their files up to date, starts the container,
// probes its readiness, starts it again when it ends, reports all that in the
// pod's status, and ends it, in the pod's grace period, when the pod is deleted.
//
// What it does not play: images and registries, networks (in [Join] a loopback
// address stands in for the pod's, see [Loopback]), users, resource limits,
// liveness probes, volumes but Secrets, and containers by order.
package kubelet
