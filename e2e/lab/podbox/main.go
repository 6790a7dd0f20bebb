// Command podbox is the one program of the lab's test image. As "pause" it does
// nothing, as every sandbox must. As "serve" it lets a test act in a pod's
// network namespace, without the second that a kubectl exec takes here:
//
//	GET /addresses?interface=net1   the interface's addresses, a line each
//	GET /ping?to=ADDR               204, or 504 when no answer came in time
//	GET /metadata?path=PATH         the instance's metadata, or 504
//
// As "metadata PATH" it prints the instance's metadata as the worker sees it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "metadata":
		text, err := metadata(context.Background(), os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, "podbox:", err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, text)
		return
	case len(os.Args) == 2 && os.Args[1] == "serve":
		go func() {
			fmt.Fprintln(os.Stderr, "podbox:", serve(":8080"))
			os.Exit(1)
		}()
	}
	<-stop
}
