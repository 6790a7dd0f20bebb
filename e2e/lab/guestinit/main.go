// Command guestinit is the first program of a worker's kernel. It finds the
// host's file system as its root, read-only, and makes a worker of it: a root
// of its own above the host's files, the network, and the services that the
// lab's configuration names. It is static and needs no program of the host.
package main

import (
	"fmt"
	"os"
)

// servicesArgument is the argument of the child that runs the services. The
// first process is left with one task, to reap orphans.
const servicesArgument = "services"

func main() {
	if len(os.Args) > 1 && os.Args[1] == servicesArgument {
		fail("services", runServices())
	}
	fail("boot", boot())
	fail("services", reap())
}

// fail ends the kernel with the reason on its console; nothing else could be
// done about it.
func fail(step string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "guestinit: %s: %v\n", step, err)
		powerOff()
	}
}
