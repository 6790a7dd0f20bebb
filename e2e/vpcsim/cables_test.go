package vpcsim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/dataplane"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/fabric"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/internal/frametest"
)

const (
	mac1 = "02:00:00:00:01:01" // of one
	mac2 = "02:00:00:00:02:01" // of two
)

func router() string { return fabric.Router().String() }

// startWired is a rig whose ENIs have sockets.
func startWired(t *testing.T) (r *rig, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "wire")
	sim, err := vpcsim.New(twoWorkers(t), withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sim.Listen(t.Context(), vpcsim.Addresses{EC2: "127.0.0.1:0", Control: "127.0.0.1:0", Wire: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return &rig{t: t, sim: sim, srv: srv, ec2: client(t, srv.EC2URL, vpcsim.AccessKeyID, vpcsim.SecretAccessKey, "")}, dir
}

// flow is one pair of addresses in a family.
type flow struct {
	kind     uint16
	src, dst string
}

func (f flow) request() []byte { return frametest.Echo(f.src, f.dst, 1) }
func (f flow) reply() []byte   { return frametest.EchoReply(f.dst, f.src, 1) }

func (r *rig) claim(eni, addr string) {
	r.t.Helper()
	if err := claim(eni, addr)(r.t.Context(), r.ec2); err != nil {
		r.t.Fatal(err)
	}
}

// claim is the call that makes addr one of the ENI's.
func claim(eni, addr string) call {
	if netip.MustParseAddr(addr).Is6() {
		return assign6(eni, addr)
	}
	return take(eni, addr)
}

// drops returns the data plane's drops as text, and forgets them.
func (r *rig) drops() []string {
	r.t.Helper()
	var out []string
	for _, d := range get[dataplane.Status](r, "/v1/dataplane").Drops {
		for range d.Count {
			out = append(out, strings.TrimSpace(string(d.Reason)+" "+d.Detail)+" from "+d.From)
		}
	}
	if status, body := r.post("/v1/reset", ""); status != http.StatusOK {
		r.t.Fatal(body)
	}
	return out
}

func TestWorkersPingEachOtherOnceBothAddressesAreAssigned(t *testing.T) {
	for _, tc := range []struct {
		name string
		flow
	}{
		{"IPv4", flow{frametest.IPv4, "10.10.1.80", "10.10.1.81"}},
		{"IPv6", flow{frametest.IPv6, "2600:1f13:0:1::80", "2600:1f13:0:1::81"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, dir := startWired(t)
			first, second := plugIn(t, dir, one, mac1), plugIn(t, dir, two, mac2)
			lost := func(when, want string) {
				t.Helper()
				first.send(tc.kind, tc.request())
				if got := first.answered(); len(got) > 0 {
					t.Errorf("%s, the first worker received %x", when, got)
				}
				if diff := cmp.Diff([]string{want}, r.drops()); diff != "" {
					t.Errorf("%s, dropped (-want +got):\n%s", when, diff)
				}
			}
			lost("without any assignment", "source-address "+tc.src+" from eni-w1-eth1")
			r.claim(one, tc.src)
			lost("with the source assigned", "no-owner "+tc.dst+" from eni-w1-eth1")
			r.claim(two, tc.dst)

			first.send(tc.kind, tc.request())
			want := frametest.Ethernet(mac2, router(), tc.kind, tc.request())
			if diff := cmp.Diff(want, second.receive()); diff != "" {
				t.Errorf("the second worker receives (-want +got):\n%s", diff)
			}
			second.send(tc.kind, tc.reply())
			want = frametest.Ethernet(mac1, router(), tc.kind, tc.reply())
			if diff := cmp.Diff(want, first.receive()); diff != "" {
				t.Errorf("the first worker receives (-want +got):\n%s", diff)
			}
			if got := second.answered(); len(got) > 0 {
				t.Errorf("the second worker received %x besides", got)
			}
		})
	}
}

func TestAnAddressThatMovesTakesItsTrafficAlong(t *testing.T) {
	r, dir := startWired(t)
	first, second := plugIn(t, dir, one, mac1), plugIn(t, dir, two, mac2)
	toFloating := frametest.Echo("10.10.1.12", "10.10.1.90", 1)
	r.claim(one, "10.10.1.90")
	second.send(frametest.IPv4, toFloating)
	if diff := cmp.Diff(frametest.Ethernet(mac1, router(), frametest.IPv4, toFloating), first.receive()); diff != "" {
		t.Errorf("before the move (-want +got):\n%s", diff)
	}
	r.claim(two, "10.10.1.90")
	second.send(frametest.IPv4, toFloating)
	if diff := cmp.Diff(frametest.Ethernet(mac2, router(), frametest.IPv4, toFloating), second.receive()); diff != "" {
		t.Errorf("after the move (-want +got):\n%s", diff)
	}
	first.send(frametest.IPv4, frametest.Echo("10.10.1.90", "10.10.1.12", 1)) // the old holder has not noticed
	if got := append(first.answered(), second.answered()...); len(got) > 0 {
		t.Errorf("received besides: %x", got)
	}
	if diff := cmp.Diff([]string{"source-address 10.10.1.90 from eni-w1-eth1"}, r.drops()); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
}

func TestSourceDestinationCheckIsWhatEC2Says(t *testing.T) {
	r, dir := startWired(t)
	first, second := plugIn(t, dir, one, mac1), plugIn(t, dir, two, mac2)
	_, err := r.ec2.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: aws.String(one), SourceDestCheck: &types.AttributeBooleanValue{Value: aws.Bool(false)},
	})
	if err != nil {
		t.Fatal(err)
	}
	packet := frametest.Echo("192.168.1.1", "10.10.1.12", 1)
	first.send(frametest.IPv4, packet)
	if diff := cmp.Diff(frametest.Ethernet(mac2, router(), frametest.IPv4, packet), second.receive()); diff != "" {
		t.Errorf("a foreign source without check (-want +got):\n%s", diff)
	}
}

func TestAWorkerThatIsNotThereLosesItsPackets(t *testing.T) {
	r, dir := startWired(t)
	first, second := plugIn(t, dir, one, mac1), plugIn(t, dir, two, mac2)
	second.conn.Close()
	await(t, "the worker left", func() bool {
		return !get[dataplane.Status](r, "/v1/dataplane").ENIs[two].Connected
	})
	first.send(frametest.IPv4, frametest.Echo("10.10.1.11", "10.10.1.12", 1))
	first.answered()
	if diff := cmp.Diff([]string{"unplugged eni-w2-eth1 from eni-w1-eth1"}, r.drops()); diff != "" {
		t.Errorf("dropped (-want +got):\n%s", diff)
	}
	second = plugIn(t, dir, two, mac2)
	first.send(frametest.IPv4, frametest.Echo("10.10.1.11", "10.10.1.12", 2))
	second.receive()
}

func TestCountersSayWhatEachENISentAndReceived(t *testing.T) {
	r, dir := startWired(t)
	first, second := plugIn(t, dir, one, mac1), plugIn(t, dir, two, mac2)
	r.drops() // forget the greeting
	first.send(frametest.IPv4, frametest.Echo("10.10.1.11", "10.10.1.12", 1))
	second.receive()
	first.answered()
	const echo, arp = 14 + 20 + 8 + 12, 42
	want := map[string]dataplane.ENIStatus{
		"eni-w1-eth0": {},
		"eni-w2-eth0": {},
		one: {
			Connected: true, Answers: 1,
			Sent:     dataplane.Traffic{Frames: 2, Bytes: echo + arp},
			Received: dataplane.Traffic{Frames: 1, Bytes: arp},
		},
		two: {Connected: true, Received: dataplane.Traffic{Frames: 1, Bytes: echo}},
	}
	if diff := cmp.Diff(want, get[dataplane.Status](r, "/v1/dataplane").ENIs); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestSocketsFollowTheENIs(t *testing.T) {
	r, dir := startWired(t)
	created, err := r.ec2.CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{
		SubnetId: aws.String("subnet-multus-a"), PrivateIpAddress: aws.String("10.10.1.50"),
	})
	if err != nil {
		t.Fatal(err)
	}
	eni, mac := *created.NetworkInterface.NetworkInterfaceId, *created.NetworkInterface.MacAddress
	socket := filepath.Join(dir, eni+".sock")
	await(t, "the new ENI has a socket on which the simulator listens", func() bool { // the file is there a moment before
		conn, err := new(net.Dialer).DialContext(t.Context(), "unixpacket", socket)
		return err == nil && conn.Close() == nil
	})
	attached, err := r.ec2.AttachNetworkInterface(t.Context(), &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: &eni, InstanceId: aws.String("i-worker1"), DeviceIndex: aws.Int32(2),
	})
	if err != nil {
		t.Fatal(err)
	}
	hot, second := plugIn(t, dir, eni, mac), plugIn(t, dir, two, mac2)
	hot.send(frametest.IPv4, frametest.Echo("10.10.1.50", "10.10.1.12", 1))
	second.receive()

	if _, err := r.ec2.DetachNetworkInterface(t.Context(), &ec2.DetachNetworkInterfaceInput{AttachmentId: attached.AttachmentId}); err != nil {
		t.Fatal(err)
	}
	second.send(frametest.IPv4, frametest.Echo("10.10.1.12", "10.10.1.50", 1))
	second.answered()
	if diff := cmp.Diff([]string{"unattached " + eni + " from eni-w2-eth1"}, r.drops()); diff != "" {
		t.Errorf("dropped after detaching (-want +got):\n%s", diff)
	}
	if _, err := r.ec2.DeleteNetworkInterface(t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: &eni}); err != nil {
		t.Fatal(err)
	}
	await(t, "the deleted ENI has no socket", func() bool {
		_, err := os.Stat(socket)
		return errors.Is(err, fs.ErrNotExist)
	})
}

func TestASecondSimulatorDoesNotTakeTheSockets(t *testing.T) {
	_, dir := startWired(t)
	sim, err := vpcsim.New(twoWorkers(t), withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.Listen(t.Context(), vpcsim.Addresses{Wire: dir}); err == nil || !strings.Contains(err.Error(), "another process listens on") {
		t.Errorf("a second simulator in the same directory: %v", err)
	}
	plugIn(t, dir, one, mac1) // still served by the first
}

// slot is a port that keeps frames, for tests without sockets.
type slot chan []byte

func (s slot) Send(frame []byte) error {
	s <- frame
	return nil
}

func (slot) Connected() bool { return true }

func TestPacketsFollowAnAssignmentAfterTheDataPathLag(t *testing.T) {
	inVirtualTime(t, func(v virtual) {
		t := v.t
		const lag = 2 * time.Second
		v.set(`{"dataPathLag": "2s"}`)
		plane, first, second := v.DataPlane(), make(slot, 100), make(slot, 100)
		plane.Plug(one, first)
		plane.Plug(two, second)
		v.must(claim(one, "10.10.1.90"))
		time.Sleep(2 * lag)
		v.must(claim(two, "10.10.1.90"))

		probe := frametest.Ethernet(router(), mac2, frametest.IPv4, frametest.Echo("10.10.1.12", "10.10.1.90", 1))
		for range 4 { // at 0, 1, 2 and 3 seconds after the move
			plane.Receive(two, probe)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if diff := cmp.Diff([]int{2, 2}, []int{len(first), len(second)}); diff != "" {
			t.Errorf("probes to the old and to the new holder (-want +got):\n%s", diff)
		}
	})
}

// await waits for a condition that the simulator makes true.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after 30 s: %s", what)
		}
	}
}

func TestACaptureShowsWhatPassesTheCables(t *testing.T) {
	r, dir := startWired(t)
	first, second := plugIn(t, dir, one, mac1), plugIn(t, dir, two, mac2)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.srv.ControlURL+"/v1/pcap?eni=eni-w2-eth1", nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req) // returns once the capture is on
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	readFull(t, resp, 24)
	request, reply := frametest.Echo("10.10.1.11", "10.10.1.12", 1), frametest.EchoReply("10.10.1.12", "10.10.1.11", 1)
	first.send(frametest.IPv4, request)
	second.receive()
	second.send(frametest.IPv4, reply)
	second.send(frametest.IPv4, frametest.Echo("10.10.1.12", "10.10.1.200", 1)) // dropped

	var got [][]byte
	for range 3 {
		size := binary.LittleEndian.Uint32(readFull(t, resp, 16)[8:])
		got = append(got, readFull(t, resp, int(size)))
	}
	want := [][]byte{
		frametest.Ethernet(mac2, router(), frametest.IPv4, request),
		frametest.Ethernet(router(), mac2, frametest.IPv4, reply),
		frametest.Ethernet(router(), mac2, frametest.IPv4, frametest.Echo("10.10.1.12", "10.10.1.200", 1)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("captured at eni-w2-eth1 (-want +got):\n%s", diff)
	}
}

func readFull(t *testing.T, resp *http.Response, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(resp.Body, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheProgramLaysCables(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	out, in := io.Pipe()
	done := make(chan int)
	go func() {
		done <- vpcsim.Command(ctx, []string{"--topology", "testdata/two-workers.yaml", "--wire", dir}, nil, in, io.Discard)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasSuffix(line, " wire="+dir+"\n") {
		t.Errorf("ready line %q, %v; want the directory at its end", line, err)
	}
	plugIn(t, dir, one, mac1)
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}

	var stderr bytes.Buffer
	args := []string{"--topology", "testdata/two-workers.yaml", "--wire", "testdata/two-workers.yaml"}
	if code := vpcsim.Command(t.Context(), args, nil, io.Discard, &stderr); code != 1 || !strings.Contains(stderr.String(), "vpcsim: wire: ") {
		t.Errorf("with a file for a directory: exit code %d, %s", code, &stderr)
	}
}
