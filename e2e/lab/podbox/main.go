// Command podbox is the one program of the lab's test image. As "pause" it does
// nothing, as every sandbox must. As "serve [--ask ADDR]" it lets a test act in
// a pod's network namespace by HTTP on port 8080, without the second that a
// kubectl exec takes here:
//
//	GET    /start                          which pod it is, when this process began, and
//	                                       whether ADDR answered a ping at once, before all else
//	GET    /addresses?interface=net1       the interface's addresses, a line each
//	PUT    /addresses?interface=net1&address=CIDR   adds an address, 204
//	DELETE /addresses?interface=net1&address=CIDR   removes an address, 204
//	GET    /ping?to=ADDR[&from=ADDR]       204, or 504 when no answer came in time
//	GET    /metadata?path=PATH             the instance's metadata, or 504
//	GET    /ready                          204, or 503 and what the pod's sidecar lacks
//	POST   /probe?to=ADDR[&from=ADDR]      asks another podbox every 10 ms until DELETE, 204
//	GET    /probe?to=ADDR                  what was lost so far, see probe.Report
//	DELETE /probe?to=ADDR                  the same, and ends it
//
// Meanwhile it answers probes on UDP port 7007 of every address of the pod,
// also of those that come later, in both families.
//
// To change addresses it must be root with the capability NET_ADMIN: where
// privileges cannot be gained, another user has no use for a capability.
//
// As "ask ADDR" it ends well if ADDR answers a ping, as a Job.
//
// As "metadata PATH" it prints the instance's metadata as the worker sees it, and
// as "signal SIGNAL container|pod CONTAINER-ID" it signals, in the worker, all
// processes of a container or of its pod.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	began := time.Now()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "metadata":
		text, err := metadata(context.Background(), os.Args[2])
		exitOn(err)
		fmt.Fprintln(os.Stdout, text)
		return
	case len(os.Args) == 3 && os.Args[1] == "ask":
		to, err := netip.ParseAddr(os.Args[2])
		exitOn(err)
		exitOn(ping(netip.Addr{}, to, pingTimeout))
		return
	case len(os.Args) == 5 && os.Args[1] == "signal":
		number, err := signalNumber(os.Args[2])
		exitOn(err)
		send := map[string]func(string, syscall.Signal, string) error{"container": signalContainer, "pod": signalPod}[os.Args[3]]
		if send == nil {
			exitOn(fmt.Errorf("%q is neither container nor pod", os.Args[3]))
		}
		exitOn(send("/proc", number, os.Args[4]))
		return
	case len(os.Args) >= 2 && os.Args[1] == "serve":
		flags := flag.NewFlagSet("serve", flag.ExitOnError)
		var first netip.Addr
		flags.TextVar(&first, "ask", netip.Addr{}, "`address` to ping before all else")
		_ = flags.Parse(os.Args[2:]) // ExitOnError
		go func() { exitOn(serve(context.Background(), ":8080", beginning(began, first))) }()
	}
	<-stop
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "podbox:", err)
		os.Exit(1)
	}
}
