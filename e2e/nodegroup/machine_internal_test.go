package nodegroup

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim"
)

const script = "../../config/nodegroup/host/multus-enis.sh"

// topology is a worker as its launch template makes it, with the first ENI
// only. Its type has two network cards.
const topology = `
region: us-west-2
vpc: {id: vpc-1, cidr: 10.10.0.0/16}
instanceTypes:
- {name: two.cards, interfaces: 8, addresses: 10, cards: 2}
subnets:
- {id: subnet-mgmt, cidr: 10.10.12.0/24, zone: us-west-2a}
- {id: subnet-multus, cidr: 10.10.1.0/24, zone: us-west-2a}
instances:
- id: i-worker
  type: TYPE
  zone: us-west-2a
  hopLimit: 1
  enis:
  - {id: eni-primary, subnet: subnet-mgmt, deviceIndex: 0, mac: "02:00:00:00:01:00", primary: 10.10.12.11}
`

// machine is a worker of the simulated VPC, with its tools recorded.
type machine struct {
	t      *testing.T
	world  worker
	ec2    *ec2.Client
	tools  string
	env    []string
	asleep func()     // what happens while the script sleeps
	mu     sync.Mutex // the test has it, but while the script runs
}

// boot starts a worker of a type with the links it has before its Multus ENIs.
func boot(t *testing.T, instanceType string) *machine {
	t.Helper()
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the script needs %s, which is not installed here", program)
		}
	}
	top, err := vpcsim.Load(strings.NewReader(strings.Replace(topology, "TYPE", instanceType, 1)))
	if err != nil {
		t.Fatal(err)
	}
	sim, err := vpcsim.New(top, vpcsim.Options{Rand: rand.NewPCG(1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	metadata, err := sim.IMDS("i-worker", vpcsim.HostHops)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, world: worker{root: t.TempDir()}, tools: t.TempDir(), asleep: func() { t.Error("the script slept") }}
	m.mu.Lock()
	m.ec2 = client(t, serve(t, sim.EC2()))
	m.world.Sleep = serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.asleep()
	}))
	m.env = []string{
		"PATH=" + m.tools + ":" + os.Getenv("PATH"), "MULTUS_ENIS_ROOT=" + m.world.root,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + serve(t, metadata), "ENIS_TIMEOUT=600",
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"ip", "networkctl", "sleep"} {
		if err := os.Symlink(self, filepath.Join(m.tools, tool)); err != nil {
			t.Fatal(err)
		}
	}
	m.save()
	m.plug(&link{Name: "ens5", MAC: "02:00:00:00:01:00", MTU: 9001, Up: true, Device: true, Loaded: true, Awaited: true, Address: true})
	return m
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func client(t *testing.T, url string) *ec2.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return ec2.New(ec2.Options{
		Region: "us-west-2", BaseEndpoint: &url, Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(vpcsim.AccessKeyID, vpcsim.SecretAccessKey, ""),
	})
}

// attach attaches an ENI to the worker, whose kernel gives it a name.
func (m *machine) attach(card, device int32, name string) *link {
	m.t.Helper()
	made, err := m.ec2.CreateNetworkInterface(m.t.Context(), &ec2.CreateNetworkInterfaceInput{SubnetId: aws.String("subnet-multus")})
	if err != nil {
		m.t.Fatal(err)
	}
	_, err = m.ec2.AttachNetworkInterface(m.t.Context(), &ec2.AttachNetworkInterfaceInput{
		InstanceId: aws.String("i-worker"), NetworkInterfaceId: made.NetworkInterface.NetworkInterfaceId, DeviceIndex: &device, NetworkCardIndex: &card,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	l := &link{Name: name, MAC: aws.ToString(made.NetworkInterface.MacAddress), MTU: 1500, Device: true}
	m.plug(l)
	return l
}

// plug gives the kernel a link and its files.
func (m *machine) plug(l *link) {
	m.t.Helper()
	m.refresh()
	m.world.Links = append(m.world.Links, l)
	m.write("sys/class/net/"+l.Name+"/address", l.MAC+"\n")
	if l.Device {
		m.write("sys/class/net/"+l.Name+"/device/vendor", "0x1d0f\n")
	}
	for name, value := range map[string]string{"accept_ra": "1\n", "addr_gen_mode": "0\n"} {
		m.write("proc/sys/net/ipv6/conf/"+l.Name+"/"+name, value)
	}
	m.save()
}

// adopt is nodeadm, which has networkd manage a link: with DHCP, as each.
func (m *machine) adopt(l *link) {
	m.t.Helper()
	m.write(nodeadmFile(l.Name), "[Match]\nPermanentMACAddress="+l.MAC+"\n\n[Link]\nMTUBytes=9001\n\n[Network]\nDHCP=yes\n")
	if err := m.world.networkctl([]string{"reload"}); err != nil {
		m.t.Fatal(err)
	}
	m.save()
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	path := m.world.path(name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) save() {
	m.t.Helper()
	if err := m.world.save(); err != nil {
		m.t.Fatal(err)
	}
}

// refresh reads what the tools have written.
func (m *machine) refresh() {
	m.t.Helper()
	if err := m.world.load(); err != nil {
		m.t.Fatal(err)
	}
}

// reboot forgets what only the kernel and /run hold. nodeadm decides as before.
func (m *machine) reboot() {
	m.t.Helper()
	for i, l := range m.world.Links {
		if i == 0 {
			continue
		}
		managed := l.Loaded
		l.Altnames, l.MTU, l.Up, l.Loaded, l.Awaited, l.Address = nil, 1500, false, false, false, false
		if managed {
			m.adopt(l)
		}
	}
	m.save()
}

// run plays the script and returns its exit code and output.
func (m *machine) run(enis string) (code int, output string) {
	m.t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(m.t.Context(), "bash", script)
	cmd.Env = slices.Concat(m.env, []string{"ENIS=" + enis})
	cmd.Stdout, cmd.Stderr = &out, &out
	m.mu.Unlock()
	err := cmd.Run()
	m.mu.Lock()
	if err != nil && cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	m.refresh()
	return cmd.ProcessState.ExitCode(), out.String()
}

// must runs the script and demands its exit code and all the words in its
// output.
func (m *machine) must(code int, enis string, words ...string) {
	m.t.Helper()
	got, output := m.run(enis)
	if got != code {
		m.t.Errorf("the script exits with %d; want %d:\n%s", got, code, output)
	}
	for _, text := range words {
		if !strings.Contains(output, text) {
			m.t.Errorf("the script says\n%s\nwant %q in it", output, text)
		}
	}
}

// is compares the links with those that are wanted, but for the MACs.
func (m *machine) is(want ...*link) {
	m.t.Helper()
	primary := &link{Name: "ens5", MTU: 9001, Up: true, Device: true, Loaded: true, Awaited: true, Address: true}
	if diff := cmp.Diff(append([]*link{primary}, want...), m.world.Links, cmpopts.IgnoreFields(link{}, "MAC")); diff != "" {
		m.t.Errorf("links (-want +got)\n%s", diff)
	}
}

func unmanaged(name string, altnames ...string) *link {
	return &link{Name: name, Altnames: altnames, MTU: 9001, Up: true, Device: true}
}

func managed(name string, altnames ...string) *link {
	l := unmanaged(name, altnames...)
	l.Loaded = true
	return l
}

func (m *machine) read(name string) string {
	m.t.Helper()
	data, err := os.ReadFile(m.world.path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
