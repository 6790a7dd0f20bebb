package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/bench/cluster"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

// judge starts the controller in a cluster with 10,000 NADs, of which every
// tenth is as long as is checked, and none is reserved.
func judge(ctx context.Context, b *bench) error {
	const ordinary, long = 9000, 1000
	dir := filepath.Join(b.dir, "judge")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	environ, stop, err := serveReservation(ctx)
	if err != nil {
		return err
	}
	defer stop()
	c, err := cluster.Start(ctx, dir, os.Stderr, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.Stop() }()
	if err := c.Gather(ctx, cluster.Crowd{Namespaces: ordinary, LongNADs: long}); err != nil {
		return err
	}
	began := time.Now()
	if err := c.JudgeNADs(ctx, b.bin("controller"), append(environ, crowdLimit), "subnet-a", ordinary+long); err != nil {
		return err
	}
	took := time.Since(began)
	pid, err := running(b.bin("controller"))
	if err != nil {
		return err
	}
	peak, err := memory(pid, "status", "VmHWM:")
	if err != nil {
		return err
	}
	program, err := memory(pid, "status", "RssFile:")
	if err != nil {
		return err
	}
	b.figure("most resident memory until all are checked", fmt.Sprintf("%.1f MiB", peak), "")
	b.figure("of that without the program's file", fmt.Sprintf("%.1f MiB", peak-program), "less than 128 MiB")
	b.figure("from start until all are checked", took.Round(time.Second).String(), "")
	return nil
}

// serveReservation serves an EC2 with one reservation, and returns the
// environment of its users.
func serveReservation(ctx context.Context) (environ []string, stop func(), err error) {
	topology, err := vpcsim.Load(strings.NewReader(`
region: us-west-2
vpc: {id: vpc-1, cidr: 192.168.0.0/16}
subnets: [{id: subnet-a, cidr: 192.168.1.0/24, zone: us-west-2a}]
reservations: [{subnet: subnet-a, cidr: 192.168.1.64/26, type: explicit}]
`))
	if err != nil {
		return nil, nil, err
	}
	sim, err := vpcsim.New(topology, vpcsim.Options{})
	if err != nil {
		return nil, nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		sim.Close()
		return nil, nil, err
	}
	server := &http.Server{Handler: sim.EC2(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // always http.ErrServerClosed
	return []string{
		"AWS_REGION=us-west-2", "AWS_ENDPOINT_URL_EC2=http://" + listener.Addr().String(), "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=" + vpcsim.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + vpcsim.SecretAccessKey,
	}, func() { _ = server.Close(); sim.Close() }, nil
}
