package webhook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	crwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/certificate"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/review"
)

// benchServer names the environment variable that makes the test binary one
// of the servers that are compared, and benchDir its certificate's directory.
const (
	benchServer = "MULTUS_IPMGR_BENCH_SERVER"
	benchDir    = "MULTUS_IPMGR_BENCH_DIR"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(benchServer); name != "" {
		if err := benchmarked(name, os.Getenv(benchDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// BenchmarkAdmission sends one review of 5.8 KB, captured from kube-apiserver,
// over HTTP/2 and TLS 1.3 to two servers in processes of their own, in turn,
// and reports the processor time of each per review:
//
//   - ours: the webhook as it is, with caches, metrics and log;
//   - runtime: controller-runtime's webhook server, with a typed Pod and one
//     add operation, which decides nothing and writes no log;
//   - ratio: ours / runtime. DESIGN section 6 asks for 0.6 or less.
func BenchmarkAdmission(b *testing.B) {
	const block = 200 // reviews to one server before it is the other's turn
	a, review := newAuthority(b), []byte(captured(b))
	ours, runtime := launch(b, a, "ours"), launch(b, a, "runtime")
	for _, server := range []*child{ours, runtime} {
		server.send(b, review, block) // warm up
	}
	before := [2]time.Duration{ours.cpu(b), runtime.cpu(b)}
	b.ResetTimer()
	sent := 0
	for sent < b.N {
		n := min(block, b.N-sent)
		ours.send(b, review, n)
		runtime.send(b, review, n)
		sent += n
	}
	b.StopTimer()
	perReview := func(server *child, before time.Duration) float64 {
		return float64((server.cpu(b) - before).Microseconds()) / float64(b.N)
	}
	x, y := perReview(ours, before[0]), perReview(runtime, before[1])
	b.ReportMetric(x, "ours-cpu-µs/review")
	b.ReportMetric(y, "runtime-cpu-µs/review")
	b.ReportMetric(x/y, "ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkDecide is the work without the network: bytes in, bytes out.
func BenchmarkDecide(b *testing.B) {
	body := []byte(captured(b))
	h := review.New(fill(b, telco().answer), benchPolicy(), discard())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		answered(b, h, body)
	}
}

func benchPolicy() inject.Policy {
	policy := inject.DefaultPolicy()
	policy.Image, policy.Version = "registry.example/ipmgr:v0.1.0", "v0.1.0"
	return policy
}

// telco answers what the captured review needs.
func telco() served {
	enabled := fmt.Sprintf(`{"metadata":{"name":"telco","labels":{%q:%q}}}`, inject.InjectLabel, inject.Enabled)
	network := func(name string) string {
		return fmt.Sprintf(`{"metadata":{"namespace":"telco","name":%q},"spec":{"config":%q}}`, name, ranged("10.10.1.64/26"))
	}
	return served{
		"/api/v1/namespaces": list("meta.k8s.io/v1", "PartialObjectMetadataList", enabled),
		nadsPath:             list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinitionList", network("ipvlan-n3"), network("ipvlan-n6")),
	}
}

// child is a server in a process of its own.
type child struct {
	client       *http.Client
	url, control string
}

func launch(b *testing.B, a *authority, name string) *child {
	b.Helper()
	dir := b.TempDir()
	a.issue(b, dir, 2)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	command := exec.CommandContext(b.Context(), self)
	command.Env = append(os.Environ(), benchServer+"="+name, benchDir+"="+dir)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	addresses := strings.Fields(line)
	if err != nil || len(addresses) != 2 {
		b.Fatalf("%s said %q: %v", name, line, err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool()}, ForceAttemptHTTP2: true}
	c := &child{client: &http.Client{Transport: transport}, url: "https://" + addresses[0] + review.PodPath, control: "http://" + addresses[1]}
	for deadline := time.Now().Add(10 * time.Second); ; {
		response, err := c.client.Get(c.url)
		if err == nil {
			response.Body.Close()
			return c
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// send sends n reviews, as many at a time as an API server under load.
func (c *child) send(b *testing.B, review []byte, n int) {
	b.Helper()
	const atOnce = 8
	var group sync.WaitGroup
	for i := range atOnce {
		group.Go(func() {
			for range n/atOnce + min(1, max(0, n%atOnce-i)) {
				if err := c.sendOne(review); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func (c *child) sendOne(review []byte) error {
	response, err := c.client.Post(c.url, "application/json", bytes.NewReader(review))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && !bytes.Contains(body, []byte(`"patch":`)) {
		err = fmt.Errorf("no patch in %s", body)
	}
	return err
}

// cpu is the processor time that the server has used.
func (c *child) cpu(b *testing.B) time.Duration {
	b.Helper()
	response, err := http.Get(c.control)
	if err != nil {
		b.Fatal(err)
	}
	_, text := read(b, response)
	nanoseconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(nanoseconds)
}

// benchmarked is the child's side: it serves, says where, and answers on its
// control port how much processor time it has used.
func benchmarked(name, dir string) error {
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(control, http.HandlerFunc(usage)) // until the parent kills this process
	}()
	if err := listener.Close(); err != nil { // the servers open their own
		return err
	}
	announce := func() { fmt.Println(listener.Addr(), control.Addr()) }
	if name == "ours" {
		return serveOurs(listener.Addr().String(), dir, announce)
	}
	announce()
	return serveRuntime(listener.Addr().String(), dir)
}

func usage(w http.ResponseWriter, _ *http.Request) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, u.Utime.Nano()+u.Stime.Nano())
}

// serveOurs is the webhook of a small cluster.
func serveOurs(address, dir string, announce func()) error {
	log := slog.New(slog.NewJSONHandler(sink{}, nil))
	options := Options{Address: address, OpsAddress: "127.0.0.1:0", CertDir: dir, Policy: benchPolicy()}
	s, err := New(context.Background(), options, &rest.Config{Host: "http://api.invalid", Transport: answers(telco().answer)}, log)
	if err != nil {
		return err
	}
	debug.SetGCPercent(400) // as process.LimitMemory does in a container
	go func() {
		for s.ready() != nil {
			time.Sleep(10 * time.Millisecond)
		}
		announce()
	}()
	return s.Run(context.Background()) // until the parent kills this process
}

// sink is where the log goes: it is formatted, as in production.
type sink struct{}

func (sink) Write(p []byte) (int, error) { return len(p), nil }

// serveRuntime is the plain way: controller-runtime's server and decoder.
func serveRuntime(address, dir string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return err
	}
	server := crwebhook.NewServer(crwebhook.Options{
		Host: "127.0.0.1", Port: number, CertDir: dir, CertName: certificate.CertFile, KeyName: certificate.KeyFile,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"h2"} }},
	})
	server.Register(review.PodPath, &admission.Webhook{Handler: plainHandler{admission.NewDecoder(scheme)}})
	return server.Start(context.Background()) // until the parent kills this process
}

// plainHandler is the best that controller-runtime's own ways allow.
type plainHandler struct{ decoder admission.Decoder }

func (h plainHandler) Handle(_ context.Context, req admission.Request) admission.Response {
	var pod corev1.Pod
	if err := h.decoder.Decode(req, &pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if pod.Annotations[nad.NetworksAnnotation] == "" {
		return admission.Allowed("no networks")
	}
	return admission.Patched("injected", jsonpatch.NewOperation("add", "/spec/initContainers", json.RawMessage(`[{"name":"multus-ipmgr","image":"registry.example/ipmgr:v0.1.0"}]`)))
}
