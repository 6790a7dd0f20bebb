// Command ipmgr assigns the Multus addresses of the pod that it runs in to the
// worker's ENIs.
//
//	ipmgr init      assign and verify the addresses, then exit
//	ipmgr sidecar   the same, then follow the addresses until SIGTERM
//	ipmgr ready     exit 0 once the sidecar of this pod holds all addresses
//	ipmgr version   print the version
//
// Settings are environment variables, described in package
// github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec. AWS settings are the SDK's
// own: AWS_REGION, AWS_ENDPOINT_URL_EC2, AWS_EC2_METADATA_SERVICE_ENDPOINT,
// AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, and so on.
//
// Exit codes: 0 every address is assigned and verified; 1 transient failures
// outlasted the timeout; 2 bad usage or settings; 3 a refusal that retrying
// cannot fix.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr, terminationLog: "/dev/termination-log"}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
